/** A reply that is wanted of the reader, who is the model of this run (`InteractiveModel`). */

import { attribute, button, h, keepKeys, on, put, show, take } from "../dom/dom";
import type { Agent } from "../state/protocol";
import type { Session } from "../state/session";

const NOTE = "You are the model: Prompt shows what it is sent. Python, or text with a block of code.";

/** The box for the reply of an agent's model, and Send. */
export class ReplyView {
  readonly element: HTMLElement;
  readonly #field = h("textarea.rlm-edit", {
    "aria-label": "The model's reply",
    rows: "4",
    spellcheck: "false",
  });
  readonly #send: HTMLButtonElement;
  readonly #note = h("span.rlm-answer");
  #agent: Agent | null = null;

  constructor(private readonly session: Session) {
    this.#send = button("Send", { class: "rlm-primary" }, () => this.#answer());
    keepKeys(this.#field);
    on(this.#field, "input", () => {
      if (this.#agent) session.choices.replies.set(this.#agent.id, this.#field.value);
      session.changed();
    });
    on(this.#field, "keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.shiftKey || event.metaKey)) {
        take(event);
        this.#answer();
      }
    });
    const line = h("div.rlm-pull", {}, this.#send, this.#note);
    this.element = h("section.rlm-reply", { "aria-label": "Reply" }, this.#field, line);
  }

  update(agent: Agent): void {
    this.#agent = agent;
    const running = agent.status === "running";
    const waits = running && agent.activity === "reply";
    // Who writes one reply after the other stays in the box between two of them: what is hidden loses the focus.
    show(this.element, waits || (running && this.element.matches(":focus-within")));
    const text = this.session.choices.replies.get(agent.id) ?? "";
    if (this.#field.value !== text) this.#field.value = text;
    attribute(this.#send, "aria-disabled", waits && text.trim() !== "" ? null : "true");
    const request = this.session.requests.get(`reply:${agent.id}`);
    attribute(this.#send, "data-pending", request?.state === "pending");
    put(this.#note, !waits ? "" : request?.state === "error" ? request.message : NOTE);
  }

  #answer(): void {
    const agent = this.#agent;
    const idle = this.#send.hasAttribute("aria-disabled");
    if (!agent || idle || this.session.requests.isPending(`reply:${agent.id}`)) return;
    this.session.send({ kind: "reply", agent: agent.id, text: this.#field.value });
  }
}
