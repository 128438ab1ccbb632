/** Python for the eye: a tokenizer that only cuts text into named pieces. It never makes markup. Pure. */

export type Token = [kind: "" | "k" | "s" | "n" | "c" | "b" | "d" | "f", text: string];

const KEYWORD =
  /^(?:and|as|assert|async|await|break|case|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|match|nonlocal|not|or|pass|raise|return|try|while|with|yield|True|False|None)$/;
const BUILTIN =
  /^(?:abs|all|any|bool|bytes|dict|enumerate|filter|float|frozenset|getattr|hasattr|int|isinstance|iter|len|list|map|max|min|next|object|open|print|range|repr|reversed|round|set|sorted|str|sum|super|tuple|type|zip|context|llm_query|llm_query_batched|rlm_query|rlm_query_batched|FINAL|FINAL_VAR|SHOW_VARS|budget)$/;

// The order is the meaning: strings and comments win over all that could stand inside them.
const PIECE =
  /(#[^\n]*)|((?:[rRbBuUfFtT]{0,3})(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\[\s\S]|[^'\\\n])*'?))|((?:0[xXoObB][\da-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d[\d_]*)?)[jJ]?)|([\p{L}_][\p{L}\p{N}_]*)|(@[\p{L}_][\p{L}\p{N}_.]*)|(\s+|[^\s])/gsuy;

/** Longer code is shown in one colour: nobody reads it, and the page must not wait. */
const LIMIT = 40_000;

export function tokenize(code: string): Token[] {
  if (code.length > LIMIT) return [["", code]];
  const tokens: Token[] = [];
  const push = (kind: Token[0], text: string) => {
    const last = tokens[tokens.length - 1];
    if (last && last[0] === kind) last[1] += text;
    else tokens.push([kind, text]);
  };
  PIECE.lastIndex = 0;
  let defines = false;
  let fresh = true;
  for (let found = PIECE.exec(code); found; found = PIECE.exec(code)) {
    const [text, comment, string, number, word, decorator, rest] = found;
    if (comment !== undefined) push("c", text);
    else if (string !== undefined) push("s", text);
    else if (number !== undefined) push("n", text);
    else if (word !== undefined) {
      const kind = defines ? "f" : KEYWORD.test(word) ? "k" : BUILTIN.test(word) ? "b" : "";
      push(kind, text);
      defines = word === "def" || word === "class";
    } else if (decorator !== undefined) {
      // `@` begins a decorator only at the start of a line; elsewhere it multiplies matrices.
      push(fresh ? "d" : "", text);
    } else push("", text);
    if (rest === undefined || rest.trim() !== "") fresh = false;
    if (text.includes("\n")) fresh = true;
  }
  return tokens;
}

export type Segment = { kind: "text"; text: string } | { kind: "code"; text: string };

const FENCE = /^[ \t]*```[ \t]*([\w.+-]*)[^\n]*\n/m;

/** A reply cut into prose and fenced code; an open fence (a reply still streaming) is code to the end. */
export function segments(reply: string): Segment[] {
  const found: Segment[] = [];
  let rest = reply;
  while (rest !== "") {
    const open = FENCE.exec(rest);
    const prose = open ? rest.slice(0, open.index) : rest;
    if (prose.trim() !== "") found.push({ kind: "text", text: prose.trim() });
    if (!open) break;
    const body = rest.slice(open.index + open[0].length);
    const close = /^[ \t]*```[ \t]*$/m.exec(body);
    const code = close ? body.slice(0, close.index) : body;
    found.push({ kind: "code", text: code.replace(/\s+$/, "") });
    rest = close ? body.slice(close.index + close[0].length) : "";
  }
  return found;
}
