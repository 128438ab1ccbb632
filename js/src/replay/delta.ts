/** Puts JSON documents together from what changes from each to the next, as `json_delta.py` writes it. */

/** `[new]`, or what changes of an object (`x`: keys that are gone) or of a list of `n` items. */
export type Delta = [unknown] | { k: Record<string, Delta>; x?: string[]; n?: number };

/** The document after a change; the one before it stays as it is. */
export function patched(old: unknown, change: Delta): unknown {
  if (Array.isArray(change)) return change[0];
  if (change.n !== undefined) {
    const items = Array.isArray(old) ? old.slice(0, change.n) : [];
    for (const [at, item] of Object.entries(change.k)) items[Number(at)] = patched(items[Number(at)], item);
    return items;
  }
  // A map, not an object: a key is data, and may be `__proto__`.
  const fields = new Map<string, unknown>(Object.entries((old ?? {}) as Record<string, unknown>));
  for (const key of change.x ?? []) fields.delete(key);
  for (const [key, item] of Object.entries(change.k)) fields.set(key, patched(fields.get(key), item));
  return Object.fromEntries(fields);
}
