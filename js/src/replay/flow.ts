/** Explain mode: where the data of an agent is. What stayed in its kernel, what the model read, what went up. */

import { attribute, h, put, putLine, show } from "../dom/dom";
import { bytes, plural, tokens } from "../dom/format";
import type { Flow } from "../state/protocol";

export class FlowView {
  readonly element: HTMLElement;
  readonly #parent = new Box("rlm-flow-up", "Went up");
  readonly #kernel = new Box("rlm-flow-kernel", "Stayed in the kernel");
  readonly #prompt = new Box("rlm-flow-prompt", "Went into the prompt");
  readonly #up = arrow();
  readonly #out = arrow();

  constructor() {
    this.element = h(
      "div.rlm-flow",
      { role: "group", "aria-label": "Where the data is" },
      this.#prompt.element,
      this.#out,
      this.#kernel.element,
      this.#up,
      this.#parent.element,
    );
  }

  update(flow: Flow | null): void {
    show(this.element, flow !== null);
    if (flow === null) return;
    const size = flow.kernel_bytes === null ? "" : bytes(flow.kernel_bytes);
    this.#kernel.update(
      `Stayed in the kernel of ${flow.agent}`,
      size || (flow.context === null ? "no data" : "its data"),
      [flow.context ?? "", plural(flow.variables, "variable"), received(flow)],
    );
    this.#prompt.update("Went into its prompts", `${tokens(flow.prompt_tokens)} tokens`, [
      `${tokens(flow.output_tokens)} tokens came back, as code and text`,
    ]);
    const to = flow.parent === null ? "Given as the answer" : `Went up to ${flow.parent}`;
    this.#parent.update(to, flow.value ?? "nothing yet", [
      flow.value === null ? "" : "the object itself, from kernel to kernel",
    ]);
    attribute(this.#up, "data-on", flow.value !== null);
    attribute(this.#out, "data-on", flow.prompt_tokens > 0);
  }
}

function received(flow: Flow): string {
  return flow.received === 0 ? "" : `${plural(flow.received, "value")} came up from its sub-agents`;
}

function arrow(): HTMLElement {
  return h("span.rlm-flow-arrow", { "aria-hidden": "true" });
}

class Box {
  readonly element: HTMLElement;
  readonly #title = h("b");
  readonly #amount = h("span.rlm-flow-amount");
  readonly #more = h("span.rlm-flow-more");

  constructor(kind: string, title: string) {
    put(this.#title, title);
    this.element = h("div", { class: `rlm-flow-box ${kind}` }, this.#title, this.#amount, this.#more);
  }

  update(title: string, amount: string, more: string[]): void {
    put(this.#title, title);
    putLine(this.#amount, amount, 120);
    putLine(this.#more, more.filter((each) => each !== "").join(" · "), 240);
  }
}
