/** Numbers and hostile text for the eye. Pure. */

/** `$0.0421`: four decimals below ten dollars, so that a column of small sums stays aligned. */
export function money(usd: number | null | undefined): string {
  if (usd === null || usd === undefined || Number.isNaN(usd)) return "unknown";
  if (usd === 0) return "$0";
  if (usd < 0.00005) return "<$0.0001";
  return `$${usd.toFixed(usd < 9.99995 ? 4 : 2)}`;
}

/** A limit: as few digits as it was set with. */
export function moneyLimit(usd: number): string {
  return `$${usd >= 1 || usd === 0 ? usd.toFixed(2) : String(Number(usd.toPrecision(3)))}`;
}

/** `842` · `3,412` · `41.2k` · `1.84M` */
export function tokens(count: number): string {
  if (count < 10_000) return whole(count);
  if (count < 999_500) return `${(count / 1000).toFixed(count < 99_950 ? 1 : 0)}k`;
  return `${(count / 1_000_000).toFixed(2)}M`;
}

/** `1,234,567`; toLocaleString says the same fifty times slower. */
export function whole(count: number): string {
  const digits = String(Math.round(count));
  return digits.length < 4 ? digits : digits.replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** `0.42 s` · `12.3 s` · `2:05` · `1:02:05`; while it runs, in whole seconds. */
export function duration(seconds: number | null, running = false): string {
  if (seconds === null) return "";
  const value = Math.max(0, seconds);
  if (value < 59.95) {
    if (running) return `${Math.floor(value)} s`;
    return `${value.toFixed(value < 1 ? 2 : 1)} s`;
  }
  const all = running ? Math.floor(value) : Math.round(value);
  const two = (part: number) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** `812 B` · `48.0 MB` */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "";
  if (count < 1000) return `${count} B`;
  let [value, unit] = [count / 1000, 0];
  while (value >= 999.95 && unit < 4) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${["kB", "MB", "GB", "TB", "PB"][unit]}`;
}

/** A share for people: `0.03 %`, `12 %`, `under 0.001 %`. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.001) return "under 0.001 %";
  if (value >= 10 || value === 0) return `${Math.round(value)} %`;
  return `${Number(value.toPrecision(2))} %`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

/** How much of one text a node shows at most: a browser lays out no more without a pause. */
export const TEXT_LIMIT = 100_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const ESCAPE = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]/g;
/** All that ends a line somewhere. */
const LINE_END = /\r\n|[\r\v\f\u0085\u2028\u2029]/g;
// C0, C1, what reorders or hides text, half characters. Joiners stay: emoji and some scripts need them.
const HIDDEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

function reveal(char: string): string {
  const code = char.codePointAt(0) as number;
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  if (code >= 0xd800 && code < 0xe000) return "\ufffd";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/**
 * Makes text from a model or from data fit for a text node: nothing in it can hide, reorder its surroundings or
 * stall the page. Escape sequences of a terminal go, other control characters become visible signs.
 */
export function plain(text: unknown, limit = TEXT_LIMIT): string {
  const given = typeof text === "string" ? text : text === null || text === undefined ? "" : String(text);
  const head = given.length > limit ? given.slice(0, limit) : given;
  const shown = head.replace(ESCAPE, "").replace(LINE_END, "\n").replace(HIDDEN, reveal);
  return given.length > limit ? `${shown}\n… ${whole(given.length - limit)} more characters` : shown;
}

/** The same on one line. */
export function line(text: unknown, limit = 400): string {
  const given = typeof text === "string" ? text : text === null || text === undefined ? "" : String(text);
  const cut = given.length > limit * 2 ? given.slice(0, limit * 2) : given;
  const flat = plain(cut.replace(/\s+/g, " ").trim());
  return flat.length > limit || cut !== given ? `${flat.slice(0, limit)}…` : flat;
}

const KEYWORDS = new Set(
  "False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(
    " ",
  ),
);

/** Whether Python takes it as a variable's name. */
export function isName(text: string): boolean {
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(text) && !KEYWORDS.has(text);
}

/** A name that is probably free in the notebook: the agent's own word, with its id where that word is common. */
export function pullName(name: string, agent: string, taken: ReadonlySet<string>): string {
  const common = new Set(["context", "answer", "result", "value", "df", "data", "out", "x"]);
  const base = isName(name) ? name : name.replace(/[^\p{L}\p{N}_]+/gu, "_").replace(/^(?=\p{N})|^$/u, "v_");
  if (isName(base) && !common.has(base) && !taken.has(base)) return base;
  const long = `${base}_${agent.replace(/\W+/g, "_")}`;
  let [free, count] = [long, 2];
  while (taken.has(free)) {
    free = `${long}_${count}`;
    count += 1;
  }
  return free;
}
