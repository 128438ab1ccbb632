/** What an agent's code asks the reader (`ask_user`), in the head of the run: a button for each option, or a field. */

import { attribute, button, h, keepKeys, keyed, on, put, show, take } from "../dom/dom";
import { duration } from "../dom/format";
import type { UserQuestion } from "../state/protocol";
import type { Session } from "../state/session";

export class QuestionView {
  readonly element: HTMLElement;
  readonly #who = h("span.rlm-label");
  readonly #text = h("pre.rlm-prose.rlm-ask-text");
  readonly #options = h("div.rlm-pull");
  readonly #field = h("input.rlm-field", {
    "aria-label": "Your answer",
    autocomplete: "off",
    maxlength: 2000,
  });
  readonly #send: HTMLButtonElement;
  readonly #line: HTMLElement;
  readonly #note = h("span.rlm-answer.rlm-ask-note");
  #asked: UserQuestion | null = null;
  #number = 0;

  constructor(private readonly session: Session) {
    this.#send = button("Answer", { class: "rlm-primary" }, () => this.#answer(null));
    this.#line = h("div.rlm-pull", {}, this.#field, this.#send);
    keepKeys(this.#field);
    on(this.#field, "input", () => session.changed());
    on(this.#field, "keydown", (event) => {
      if (event.key !== "Enter") return;
      take(event);
      this.#answer(null);
    });
    this.element = h(
      "section.rlm-ask",
      { "aria-label": "Question to you", hidden: true },
      this.#who,
      this.#text,
      this.#options,
      this.#line,
      this.#note,
    );
  }

  update(): void {
    const { run } = this.session.store;
    const { asked } = run;
    const wanted = asked !== null && run.status === "running" && !this.session.readonly;
    show(this.element, wanted);
    this.#asked = wanted ? asked : null;
    if (!wanted || asked === null) return;
    if (asked.number !== this.#number) {
      this.#number = asked.number;
      this.#field.value = "";
    }
    put(this.#who, `Agent ${asked.agent} asks you`);
    put(this.#text, asked.question);
    const pending = this.session.requests.isPending(`answer:${asked.agent}`);
    keyed(
      this.#options,
      asked.options,
      (option, at) => `${asked.number} ${at} ${option}`,
      (option) => button(option, { class: "rlm-option" }, () => this.#answer(asked.options.indexOf(option))),
      (element) => attribute(element, "data-pending", pending),
    );
    show(this.#options, asked.options.length > 0);
    show(this.#line, asked.options.length === 0);
    attribute(this.#send, "aria-disabled", this.#field.value.trim() === "" ? "true" : null);
    attribute(this.#send, "data-pending", pending);
    put(this.#note, this.#told(asked));
  }

  #told(asked: UserQuestion): string {
    const request = this.session.requests.get(`answer:${asked.agent}`);
    if (request?.state === "error") return request.message;
    const left = asked.until === null ? null : Math.max(asked.until - this.session.now(), 0);
    const when = left === null ? "" : ` in ${duration(left, true)}`;
    const clicks = this.session.store.run.clicks ? "" : "; clicks arrive only when the cell has ended";
    return `Without an answer${when}: ${asked.default}${clicks}`;
  }

  #answer(option: number | null): void {
    const asked = this.#asked;
    const text = option === null ? this.#field.value.trim() : null;
    if (asked === null || text === "" || this.session.requests.isPending(`answer:${asked.agent}`)) return;
    this.session.send({ kind: "answer", agent: asked.agent, number: asked.number, option, text });
  }
}
