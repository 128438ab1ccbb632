/** Code for the eye, and the button that copies text. */

import { button, copy, h, put } from "./dom";
import { plain } from "./format";
import { type Token, tokenize } from "./highlight";

/** A block of Python; colours come from the notebook's own editor theme. Lines count from 1. */
export function codeBlock(code: string, marked?: readonly [first: number, last: number]): HTMLElement {
  const inner = h("code");
  if (!marked) inner.append(...tokenize(plain(code)).map(colored));
  else {
    const lines = codeLines(code);
    const [first, last] = marked;
    inner.append(...joined(lines.slice(0, first - 1), true));
    const words = first === last ? `line ${first}` : `lines ${first} to ${last}`;
    const mark = h("span.rlm-marked", { tabindex: -1, role: "group", "aria-label": words });
    mark.append(...joined(lines.slice(first - 1, last), lines.length > last));
    inner.append(mark, ...joined(lines.slice(last), false));
  }
  return h("pre.rlm-code", {}, inner);
}

/** Python for the eye, line by line. */
export function codeLines(code: string): Node[][] {
  const lines: Node[][] = [[]];
  for (const [kind, text] of tokenize(plain(code))) {
    text.split("\n").forEach((piece, at) => {
      if (at > 0) lines.push([]);
      if (piece !== "") lines[lines.length - 1]?.push(colored([kind, piece]));
    });
  }
  return lines;
}

/** Lines as they stand below each other. */
export function joined(lines: Node[][], ended: boolean): Node[] {
  return lines.flatMap((line, at) =>
    ended || at < lines.length - 1 ? [...line, document.createTextNode("\n")] : line,
  );
}

function colored([kind, text]: Token): Node {
  const piece = document.createTextNode(text);
  return kind === "" ? piece : h("span", { class: `rlm-t-${kind}` }, piece);
}

/** A button that copies and says whether it worked. */
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const element = button(label, { class: "rlm-quiet" }, () => {
    void copy(text()).then((done) => {
      put(element, done ? "Copied" : "Not copied");
      setTimeout(() => put(element, label), 1500);
    });
  });
  return element;
}
