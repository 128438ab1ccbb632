/** The card that opens the tree: what was asked for, and in small print what it took. */

import { attribute, button, h, on, put, putLong, show, tip } from "../dom/dom";
import { line } from "../dom/format";
import type { Card, CardAgreement, Proof } from "../state/protocol";
import { FINAL, type Session } from "../state/session";
import { PROOF_WORDS } from "./code_panel";
import { drawPart } from "./parts";

export class CardView {
  readonly element: HTMLElement;
  readonly #title = h("h3.rlm-card-title");
  readonly #proof = h("span.rlm-proof");
  readonly #pull: HTMLButtonElement;
  readonly #code: HTMLButtonElement;
  readonly #pulled = h("span.rlm-card-pulled", { role: "status" });
  readonly #value = h("div.rlm-card-value");
  readonly #agreement = h("div.rlm-agreement");
  readonly #error = h("pre.rlm-card-error");
  readonly #assumed = h("div.rlm-card-assumed");
  readonly #small = h("div.rlm-card-small");
  #drawn: Card | null = null;

  constructor(private readonly session: Session) {
    this.#pull = button("Pull", { "aria-label": "Pull the answer" }, () => this.#send());
    this.#code = button("Code", { "aria-label": "Code behind the answer" }, () =>
      session.openCode(!session.choices.codeOpen),
    );
    const head = h("div.rlm-card-head", {}, this.#title, this.#proof, this.#pulled, this.#code, this.#pull);
    this.element = h(
      "section.rlm-card",
      { "aria-label": "Answer", hidden: true },
      head,
      this.#error,
      this.#value,
      this.#agreement,
      this.#assumed,
      this.#small,
    );
    on(this.element, "keydown", (event) => {
      // A table that is scrolled by its keys must not move the notebook's selection.
      if (event.key.startsWith("Arrow")) event.stopPropagation();
    });
  }

  update(): void {
    const { run } = this.session.store;
    const { card } = run;
    show(this.element, card !== null);
    if (card === null) return;
    attribute(this.element, "data-state", run.status);
    this.#draw(card);
    this.#updateProof(run.proof);
    this.#updatePull(card);
    this.#updateCode(card);
  }

  focusCode(): void {
    this.#code.focus();
  }

  /** Whether there may be code behind the answer. */
  #hasCode(card: Card): boolean {
    const { offersCode, store } = this.session;
    return offersCode && card.value !== null && store.seq >= 0;
  }

  #updateCode(card: Card): void {
    const { choices, requests } = this.session;
    show(this.#code, this.#hasCode(card));
    attribute(this.#code, "aria-expanded", String(choices.codeOpen));
    attribute(this.#code, "data-pending", requests.isPending("code"));
    for (const link of this.#value.querySelectorAll<HTMLElement>(".rlm-part")) {
      attribute(link, "aria-pressed", String(choices.codeOpen && link.dataset.part === choices.part));
    }
  }

  /** A part of the answer as a button that leads to its code. */
  readonly #link = (label: string, words: string): HTMLElement => {
    const title = "Marks the code of this part";
    return button(words, { class: "rlm-quiet rlm-part", "data-part": label, title }, () => {
      const { choices } = this.session;
      const again = choices.codeOpen && choices.part === label;
      this.session.openCode(true, again ? null : label);
    });
  };

  #draw(card: Card): void {
    if (card === this.#drawn) return;
    this.#drawn = card;
    put(this.#title, card.title);
    show(this.#error, card.error !== null);
    putLong(this.#error, card.error);
    show(this.#value, card.value !== null);
    this.#value.replaceChildren(
      ...(card.value ? [drawPart(card.value, true, 0, this.#hasCode(card) ? this.#link : undefined)] : []),
    );
    this.#drawAgreement(card.agreement ?? null); // a page that was saved earlier has none
    const assumed = (card.assumptions ?? []).map((each) => h("li", {}, each));
    show(this.#assumed, assumed.length > 0);
    this.#assumed.replaceChildren(
      h("div.rlm-card-assumed-title", {}, "Assumptions"),
      h("ul", {}, ...assumed),
    );
    const facts = h("div", {}, card.facts.join(" · "));
    this.#small.replaceChildren(facts, h("div", {}, card.seen));
  }

  /** How many samples agree with the answer, and where the others differ. */
  #drawAgreement(agreement: CardAgreement | null): void {
    show(this.#agreement, agreement !== null);
    if (agreement === null) return;
    attribute(this.#agreement, "data-state", agreement.state);
    const check = agreement.check === "" ? "" : ` (its check gave ${line(agreement.check, 120)})`;
    const why =
      agreement.why === "" ? null : h("p.rlm-agreement-why", {}, `Verified: ${agreement.why}${check}`);
    this.#agreement.replaceChildren(
      h("strong.rlm-agreement-text", {}, agreement.text),
      ...[why, agreement.table && drawPart(agreement.table)].filter((each) => each !== null),
    );
  }

  #updateProof(proof: Proof | null | undefined): void {
    show(this.#proof, Boolean(proof));
    if (!proof) return;
    attribute(this.#proof, "data-verdict", proof.verdict);
    put(this.#proof, PROOF_WORDS[proof.verdict] ?? line(proof.verdict, 40));
    tip(this.#proof, proof.detail);
  }

  #updatePull(card: Card): void {
    const root = this.session.root?.id;
    const { store } = this.session;
    const small = card.value?.kind === "number" || card.value?.kind === "plain";
    show(this.#pull, card.value !== null && root !== undefined && store.seq >= 0 && !(small && card.whole));
    if (root === undefined) return;
    const name = this.#name(root);
    attribute(this.#pull, "title", `Assigns the answer to \`${name}\` in the notebook`);
    const request = this.session.requests.get(`pull:${root}:${FINAL}`);
    attribute(this.#pull, "data-pending", request?.state === "pending");
    const words = request?.message || (request?.state === "done" ? `now \`${name}\` in the notebook` : "");
    const slow = "no answer yet: the kernel may be running another cell";
    attribute(this.#pulled, "data-state", request?.state ?? null);
    put(this.#pulled, request?.state === "slow" ? slow : words);
  }

  #name(root: string): string {
    return this.session.pullAs(root, FINAL);
  }

  #send(): void {
    const root = this.session.root?.id;
    if (root === undefined || this.session.requests.isPending(`pull:${root}:${FINAL}`)) return;
    this.session.pull(root, FINAL, this.#name(root), false);
  }
}
