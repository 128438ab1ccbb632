/** The code behind the answer, below its card: line by line, with where each statement came from. */

import { codeLines, copyButton, joined } from "../dom/code";
import { attribute, button, h, on, put, show, take, tip } from "../dom/dom";
import { line, percent, plural } from "../dom/format";
import { scrollable } from "../page/value_view";
import type { CodeStep, CodeText, Proof } from "../state/protocol";
import type { Session } from "../state/session";

export const PROOF_WORDS: Record<Proof["verdict"], string> = {
  reproduced: "code reproduced",
  differs: "code gives another value",
  failed: "code failed",
  "not tried": "code not tried",
};

/** Lines of the code that came from the same statements. */
interface Stretch {
  first: number;
  last: number;
  /** Their places in the list of steps. */
  steps: number[];
}

export class CodePanel {
  readonly element: HTMLElement;
  readonly #title = h("h3.rlm-card-title", { tabindex: -1 }, "Code behind the answer");
  readonly #badge = h("span.rlm-proof");
  readonly #facts = h("span.rlm-code-facts");
  readonly #copy: HTMLButtonElement;
  readonly #insert: HTMLButtonElement;
  readonly #inserted = h("span.rlm-card-pulled", { role: "status" });
  readonly #state = h("p.rlm-code-state", { role: "status" });
  readonly #part = h("p.rlm-code-state", { role: "status" });
  readonly #rows = scrollable(h("div.rlm-code-rows"), "Lines of the code");
  readonly #more = h("p.rlm-code-state");
  #drawn: CodeText | null = null;
  #stretches: { element: HTMLElement; steps: number[] }[] = [];
  #open = false;
  #shownPart: string | null = null;

  constructor(
    private readonly session: Session,
    private readonly leave: () => void,
  ) {
    this.#copy = copyButton("Copy code", () => this.session.code?.source ?? "");
    this.#insert = button("To next cell", { title: "Puts the code into a new cell below" }, () =>
      this.#put(),
    );
    const close = button("Close", { class: "rlm-quiet" }, () => this.#close());
    const head = h(
      "div.rlm-card-head",
      {},
      this.#title,
      this.#badge,
      this.#facts,
      this.#inserted,
      this.#copy,
      this.#insert,
      close,
    );
    this.element = h(
      "section.rlm-code-panel",
      { "aria-label": "Code behind the answer", hidden: true },
      head,
      this.#state,
      this.#part,
      this.#rows,
      this.#more,
    );
    on(this.element, "keydown", (event) => {
      // What scrolls by its keys must not move the notebook's selection.
      if (event.key.startsWith("Arrow")) event.stopPropagation();
      if (event.key !== "Escape" || event.defaultPrevented) return;
      take(event);
      this.#close();
    });
  }

  update(): void {
    const { choices, code, store } = this.session;
    const open = choices.codeOpen && store.run.card !== null;
    show(this.element, open);
    if (!open) {
      this.#open = false;
      return;
    }
    this.#updateState();
    for (const part of [this.#badge, this.#facts, this.#copy, this.#rows]) show(part, code !== null);
    show(this.#insert, code !== null && code.cell !== "" && this.session.insertCell !== null);
    if (code !== null) {
      if (code !== this.#drawn) this.#draw(code);
      show(this.#copy, code.cut === 0);
      this.#mark(code);
    } else {
      show(this.#part, false);
      show(this.#more, false);
    }
    if (!this.#open && choices.part === null) this.#title.focus({ preventScroll: true });
    this.#open = true;
  }

  #updateState(): void {
    const request = this.session.requests.get("code");
    const { code } = this.session;
    const failed = code === null && request?.state === "error";
    const slow = this.session.lost
      ? "The kernel has not answered for a while: it may be busy with another cell, or gone."
      : "Running it again in a fresh kernel, to compare its value with the answer …";
    show(this.#state, code === null);
    attribute(this.#state, "data-state", failed ? "error" : null);
    put(this.#state, failed ? (request?.message ?? "") : slow);
  }

  #draw(code: CodeText): void {
    this.#drawn = code;
    this.#shownPart = null;
    attribute(this.#badge, "data-verdict", code.verdict);
    put(this.#badge, PROOF_WORDS[code.verdict] ?? line(code.verdict, 40));
    tip(this.#badge, code.detail === "" ? null : code.detail);
    const facts = [
      `${percent(code.share)} of the code that ran`,
      code.recorded > 0 ? plural(code.recorded, "recorded answer") : "",
      code.detail === "" ? "" : line(code.detail, 300),
    ];
    put(this.#facts, facts.filter((each) => each !== "").join(" · "));
    const lines = codeLines(code.source.replace(/\n$/, ""));
    this.#stretches = stretchesOf(code.steps, lines.length).map((stretch) => ({
      element: this.#row(code, stretch, lines),
      steps: stretch.steps,
    }));
    this.#rows.replaceChildren(...this.#stretches.map(({ element }) => element));
    const rest = [
      code.cut > 0 ? `${plural(code.cut, "more character")}: \`%rlm code -o how\` shows all.` : "",
      code.left_out > 0 ? `${plural(code.left_out, "statement")} without the place they came from.` : "",
    ];
    show(this.#more, code.cut > 0 || code.left_out > 0);
    put(this.#more, rest.join(" ").trim());
  }

  #row(code: CodeText, { first, last, steps }: Stretch, lines: Node[][]): HTMLElement {
    const inner = h("code");
    inner.append(...joined(lines.slice(first - 1, last), false));
    const origins = steps.flatMap((at) => {
      const step = code.steps[at];
      return step ? [this.#origin(step)] : [];
    });
    const filters = new Set(steps.flatMap((at) => code.steps[at]?.filters ?? []));
    return h(
      "div.rlm-code-row",
      { "data-from": steps.length > 0 },
      h("pre.rlm-code-text", {}, inner),
      h(
        "div.rlm-code-origin",
        {},
        ...origins,
        ...[...filters].map((each) => h("div.rlm-code-told", {}, `where ${line(each, 240)}`)),
      ),
    );
  }

  #origin(step: CodeStep): HTMLElement {
    const words = placeWords(step);
    const link = button(
      words,
      { class: "rlm-quiet rlm-code-link", title: "Shows where this was written" },
      () => this.session.showLines(step),
    );
    const alike =
      step.alike > 0 ? h("span.rlm-code-alike", {}, `and ${plural(step.alike, "more agent")}`) : null;
    const flow = step.flow === "" ? null : h("span.rlm-code-told", {}, line(step.flow, 160));
    return h("div.rlm-code-step", {}, link, flow, alike);
  }

  /** Marks the lines on which the chosen part of the answer rests. */
  #mark(code: CodeText): void {
    const { part } = this.session.choices;
    const known = part !== null && Object.hasOwn(code.parts, part) ? code.parts[part] : undefined;
    const rests = new Set(known ?? []);
    show(this.#part, part !== null);
    if (part !== null) {
      const count = plural(rests.size, "statement");
      const told = known
        ? `rests on the ${count} marked here.`
        : "cannot be told apart: it rests on all of it.";
      put(this.#part, `${/^\d+$/.test(part) ? `Item ${Number(part) + 1}` : `“${line(part, 120)}”`} ${told}`);
    }
    for (const { element, steps } of this.#stretches) {
      attribute(element, "data-marked", part !== null && steps.some((at) => !known || rests.has(at)));
    }
    if (part === this.#shownPart) return;
    this.#shownPart = part;
    const first = this.element.querySelector<HTMLElement>("[data-marked]");
    if (first)
      this.#rows.scrollTop += first.getBoundingClientRect().top - this.#rows.getBoundingClientRect().top;
  }

  #put(): void {
    const { code, insertCell } = this.session;
    if (!code || !insertCell) return;
    const done = insertCell(this.element, code.cell);
    put(this.#inserted, done ? "It is in the cell below." : "This view is in no notebook.");
  }

  #close(): void {
    this.session.openCode(false);
    this.leave();
  }
}

/** `0.3 · turn 2 · lines 4–6`. */
export function placeWords({ agent, turn, lines: [first, last] }: CodeStep): string {
  const where = turn === 0 ? "first look" : `turn ${turn}`;
  return `${line(agent, 40)} · ${where} · ${first === last ? `line ${first}` : `lines ${first}–${last}`}`;
}

/** Cuts the lines of the code where another statement begins. */
export function stretchesOf(steps: readonly CodeStep[], count: number): Stretch[] {
  const of: number[][] = Array.from({ length: count }, () => []);
  steps.forEach((step, at) => {
    for (const [first, last] of step.places) {
      for (let number = Math.max(1, first); number <= Math.min(last, count); number += 1)
        of[number - 1]?.push(at);
    }
  });
  const found: Stretch[] = [];
  of.forEach((here, at) => {
    const last = found[found.length - 1];
    if (last && String(last.steps) === String(here)) last.last = at + 1;
    else found.push({ first: at + 1, last: at + 1, steps: here });
  });
  return found;
}
