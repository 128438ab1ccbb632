/** Code for the eye, and the button that copies text. */

import { button, copy, h, put } from "./dom";
import { plain } from "./format";
import { tokenize } from "./highlight";

/** A block of Python; colours come from the notebook's own editor theme. */
export function codeBlock(code: string): HTMLElement {
  const pieces = tokenize(plain(code)).map(([kind, text]) =>
    kind === ""
      ? document.createTextNode(text)
      : h("span", { class: `rlm-t-${kind}` }, document.createTextNode(text)),
  );
  const inner = h("code");
  inner.append(...pieces);
  return h("pre.rlm-code", {}, inner);
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
