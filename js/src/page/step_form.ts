/** Step mode on an agent's page: code that waits for Next. */

import { attribute, button, h, keepKeys, on, put, show, take } from "../dom/dom";
import type { Agent } from "../state/protocol";
import type { Session } from "../state/session";

/** Step mode: the code that waits, which may be edited, and Next. */
export class StepView {
  readonly element: HTMLElement;
  readonly #field = h("textarea.rlm-edit", { "aria-label": "Code to run", spellcheck: "false" });
  readonly #next: HTMLButtonElement;
  readonly #note = h("span.rlm-answer");
  #agent: Agent | null = null;
  #drawn = "";

  constructor(private readonly session: Session) {
    this.#next = button("Next", { class: "rlm-primary" }, () => this.#send());
    keepKeys(this.#field);
    on(this.#field, "input", () => {
      if (this.#agent) session.choices.edits.set(this.#agent.id, this.#field.value);
      session.changed();
    });
    on(this.#field, "keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.shiftKey || event.metaKey)) {
        take(event);
        this.#send();
      }
    });
    const line = h("div.rlm-pull", {}, this.#next, this.#note);
    this.element = h("section.rlm-step", { "aria-label": "Step" }, this.#field, line);
  }

  update(agent: Agent): void {
    this.#agent = agent;
    const running = agent.status === "running";
    const waits = running && (agent.activity === "step" || agent.pending_code !== null);
    // Who goes on by the keyboard stays on Next between two cells: what is hidden loses the focus.
    show(this.element, waits || (running && this.element.matches(":focus-within")));
    attribute(this.#next, "aria-disabled", waits ? null : "true");
    if (!waits) {
      put(this.#note, "");
      return;
    }
    show(this.#field, agent.pending_code !== null);
    const code = this.session.choices.edits.get(agent.id) ?? agent.pending_code ?? "";
    const drawn = `${agent.id}\n${code}`;
    if (drawn !== this.#drawn) {
      this.#drawn = drawn;
      if (this.#field.value !== code) this.#field.value = code;
      if (!this.session.choices.edits.has(agent.id)) this.#field.scrollTop = 0;
      this.#field.rows = Math.min(Math.max(code.split("\n").length, 2), 9);
    }
    const request = this.session.requests.get(`next:${agent.id}`);
    attribute(this.#next, "data-pending", request?.state === "pending");
    const edited = agent.pending_code !== null && code !== agent.pending_code;
    const asked = agent.pending_code === null ? agent.wait : null;
    put(this.#next, asked ? "Go on" : "Next");
    const plainNote =
      asked ??
      (agent.pending_code === null
        ? "continues to the next turn"
        : "runs this code; edit it first if you like");
    const note =
      request?.state === "error" ? request.message : edited ? "edited: your version will run" : plainNote;
    put(this.#note, note);
  }

  #send(): void {
    const agent = this.#agent;
    if (
      !agent ||
      this.#next.hasAttribute("aria-disabled") ||
      this.session.requests.isPending(`next:${agent.id}`)
    )
      return;
    const code = this.session.choices.edits.get(agent.id);
    const edited = code !== undefined && code !== agent.pending_code ? code : null;
    this.session.send({ kind: "next", agent: agent.id, code: edited });
  }
}
