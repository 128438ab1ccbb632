/** From the state to the rows on the screen: what is open, what is folded, which guide lines to draw. Pure. */

import { whole } from "../dom/format";
import type { Agent, Status } from "./protocol";
import type { Counts, Store } from "./run_store";

/** More siblings than this fold into one row with a histogram. */
export const GROUP_FROM = 12;

export interface Row {
  /** `0.2` for an agent, `0.2/*` for the group of its many sub-agents. */
  key: string;
  /** The agent, or the parent of the group. */
  id: string;
  group: boolean;
  level: number;
  setsize: number;
  posinset: number;
  /** Bit k: the ancestor at level k + 1 has a further sibling below, so its guide line goes on. */
  guides: number;
  /** `null`: nothing to open. */
  expanded: boolean | null;
}

/** What the reader opened and closed. Agents start open, wide batches closed. */
export class Folds {
  /** Rises with every change. */
  version = 0;
  #closed = new Set<string>();
  #opened = new Set<string>();

  isOpen(key: string): boolean {
    return isGroup(key) ? this.#opened.has(key) : !this.#closed.has(key);
  }

  set(key: string, open: boolean): void {
    if (this.isOpen(key) === open) return;
    const [set, member] = isGroup(key) ? [this.#opened, open] : [this.#closed, !open];
    if (member) set.add(key);
    else set.delete(key);
    this.version += 1;
  }

  /** Opens all that hides an agent. */
  reveal(store: Store, id: string): void {
    for (const agent of store.path(id)) {
      if (agent.id !== id) this.set(agent.id, true);
      if (isWide(store, agent.parent) && !store.isBranch(agent)) this.set(groupKey(agent.parent), true);
    }
  }
}

export function groupKey(parent: string | null): string {
  return `${parent ?? ""}/*`;
}

export function isGroup(key: string): boolean {
  return key.endsWith("/*");
}

function isWide(store: Store, parent: string | null): boolean {
  return store.children(parent).length > GROUP_FROM;
}

/** The rows of the open tree from top to bottom. */
export function flatten(store: Store, folds: Folds): Row[] {
  const rows: Row[] = [];
  walk(store, folds, null, 1, 0, rows);
  return rows;
}

function walk(
  store: Store,
  folds: Folds,
  parent: string | null,
  level: number,
  guides: number,
  rows: Row[],
): void {
  const ids = store.children(parent);
  const branches = store.branches(parent);
  if (ids.length > GROUP_FROM && parent !== null) {
    list(store, folds, branches, level, guides | (1 << Math.min(level - 1, 30)), rows);
    const key = groupKey(parent);
    const expanded = folds.isOpen(key);
    rows.push({ key, id: parent, group: true, level, setsize: 1, posinset: 1, guides, expanded });
    if (expanded) list(store, folds, ids, level + 1, guides, rows);
  } else {
    list(store, folds, branches.length > 0 ? [...branches, ...ids] : ids, level, guides, rows);
  }
}

function list(
  store: Store,
  folds: Folds,
  ids: readonly string[],
  level: number,
  guides: number,
  rows: Row[],
): void {
  const setsize = ids.length;
  for (let index = 0; index < setsize; index += 1) {
    const id = ids[index] as string;
    const own = index < setsize - 1 ? guides | (1 << Math.min(level - 1, 30)) : guides;
    const parent = store.children(id).length > 0 || store.branches(id).length > 0;
    const expanded = parent ? folds.isOpen(id) : null;
    rows.push({ key: id, id, group: false, level, setsize, posinset: index + 1, guides: own, expanded });
    if (expanded) walk(store, folds, id, level + 1, own, rows);
  }
}

/** The row one step out: the parent of an agent, or the group around it. */
export function parentIndex(rows: readonly Row[], index: number): number {
  const level = rows[index]?.level ?? 1;
  for (let at = index - 1; at >= 0; at -= 1) if ((rows[at] as Row).level < level) return at;
  return -1;
}

/** The state of an agent in one word, for its sign and its colour. */
export type State = Exclude<Agent["activity"], ""> | Status;

export function stateOf(agent: Agent): State {
  return agent.status === "running" && agent.activity !== "" ? agent.activity : agent.status;
}

const WORDS: Record<State, string> = {
  running: "running",
  model: "waiting for model",
  code: "running code",
  children: "waiting for sub-agents",
  rate_limit: "rate-limited",
  server_error: "waiting after a server error",
  connection: "waiting for a connection",
  bad_reply: "asking again after an unusable reply",
  provider: "waiting for the provider",
  budget: "waiting for budget",
  concurrency: "queued (request limit)",
  reading: "reading the prompt",
  kernel: "starting kernel",
  step: "waiting for Next",
  reply: "waiting for your reply",
  question: "asking you",
  done: "done",
  failed: "failed",
  stopped: "stopped",
  limit: "out of budget",
};

export function stateWords(state: State): string {
  return WORDS[state] ?? unknownWords(state);
}

/** What an agent does or waits for, with what is said of it: "reading about 1,700 tokens: about 68 s …". */
export function doingWords(agent: Agent): string {
  return (agent.status === "running" && agent.wait) || stateWords(stateOf(agent));
}

/** A reason that this page does not know yet is shown as it is called. */
function unknownWords(state: string): string {
  return state.replace(/_/g, " ");
}

const ORDER: [Status, string][] = [
  ["done", "done"],
  ["running", "running"],
  ["failed", "failed"],
  ["limit", "out of budget"],
  ["stopped", "stopped"],
];

/** The same, short enough for a column. */
const SHORT: Record<State, string> = {
  ...WORDS,
  model: "asks model",
  code: "runs code",
  children: "sub-agents",
  rate_limit: "rate limit",
  server_error: "server error",
  connection: "no connection",
  bad_reply: "bad reply",
  provider: "provider",
  budget: "budget",
  concurrency: "queued",
  reading: "reading",
  kernel: "kernel",
  step: "paused",
  reply: "your reply",
  question: "asks you",
  limit: "over budget",
};

export function shortState(state: State): string {
  return SHORT[state] ?? unknownWords(state);
}

/** `41 done · 5 running · 2 failed` */
export function countWords(counts: Readonly<Counts>): string {
  return ORDER.filter(([status]) => counts[status] > 0)
    .map(([status, word]) => `${whole(counts[status])} ${word}`)
    .join(" · ");
}

/** The parts of a histogram of states in a fixed order, as shares of 1. */
export function shares(counts: Readonly<Counts>): [Status, number][] {
  const total = ORDER.reduce((sum, [status]) => sum + counts[status], 0);
  return total === 0 ? [] : ORDER.map(([status]) => [status, counts[status] / total]);
}
