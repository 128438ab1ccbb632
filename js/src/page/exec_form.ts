/** Cells that the reader runs in an agent's kernel, on its page. */

import { attribute, button, h, keepKeys, keyed, on, put, putLong, show } from "../dom/dom";
import type { Agent } from "../state/protocol";
import type { Session } from "../state/session";
import { scrollable } from "./value_view";

/** How a cell may end besides `ok`; the answer to a cell says it as its message. */
const BAD_ENDS = new Set(["error", "interrupted", "timeout", "died"]);

/** A line of code in the agent's kernel, its output above. */
export class ExecView {
  readonly element: HTMLElement;
  readonly #field = h("input.rlm-field.rlm-mono", { autocomplete: "off", spellcheck: "false" });
  readonly #run: HTMLButtonElement;
  readonly #log = scrollable(h("div.rlm-exec-log"), "Output");
  readonly #mark = h("span.rlm-label");
  #agent = "";

  constructor(private readonly session: Session) {
    this.#run = button("Run", {}, () => this.#send());
    keepKeys(this.#field);
    on(this.#field, "keydown", (event) => {
      if (event.key === "Enter") this.#send();
      if (event.key === "ArrowUp") this.#recall();
    });
    const line = h("div.rlm-pull", {}, this.#mark, this.#field, this.#run);
    this.element = h("section.rlm-exec", { "aria-label": "Run code" }, this.#log, line);
  }

  update(agent: Agent): void {
    this.#agent = agent.id;
    put(this.#mark, `In ${agent.id}`);
    attribute(this.#field, "aria-label", `Code for the kernel of ${agent.id}`);
    attribute(this.#field, "placeholder", "run Python in this agent's kernel");
    const entries = this.session.choices.execs.get(agent.id) ?? [];
    show(this.#log, entries.length > 0);
    const count = this.#log.childElementCount;
    keyed(
      this.#log,
      entries,
      (entry) => entry.request.id,
      (entry) => h("div.rlm-exec-entry", {}, h("pre.rlm-exec-code", {}, entry.code), h("pre")),
      (element, { request }) => {
        const output = element.lastElementChild as HTMLElement;
        const failed = request.state === "error" || BAD_ENDS.has(request.message);
        attribute(output, "class", failed ? "rlm-error" : "rlm-output");
        const words = {
          pending: "…",
          slow: "… the kernel has not answered yet",
          error: request.message,
          done: "",
        };
        putLong(output, request.output ?? (words[request.state] || request.message));
        show(output, output.textContent !== "");
      },
    );
    if (this.#log.childElementCount !== count) this.#log.scrollTop = this.#log.scrollHeight;
    attribute(this.#run, "data-pending", this.session.requests.isPending(`exec:${agent.id}`));
  }

  #send(): void {
    const code = this.#field.value;
    if (code.trim() === "" || this.session.requests.isPending(`exec:${this.#agent}`)) return;
    this.session.exec(this.#agent, code);
    this.#field.value = "";
  }

  #recall(): void {
    const last = this.session.choices.execs.get(this.#agent)?.at(-1);
    if (last && this.#field.value === "") this.#field.value = last.code;
  }
}
