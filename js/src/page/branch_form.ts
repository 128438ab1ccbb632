/** "Ask from here instead", on an agent's page: a turn with other code or another observation, as a run of its own. */

import { attribute, button, h, keepKeys, on, put, show, take } from "../dom/dom";
import type { Agent, BranchCommand, Detail, Turn } from "../state/protocol";
import type { Session } from "../state/session";

const CHANGES: [BranchCommand["change"], string][] = [
  ["code", "with other code"],
  ["observation", "with another observation"],
];

const WORDS: Record<BranchCommand["change"], string> = {
  code: "Runs the turns before again in a new kernel, then this code, and asks the model on from there.",
  observation:
    "Runs the turns up to this one again in a new kernel, tells the model this in the place of what its code printed, and asks it on.",
};

export class BranchView {
  readonly element: HTMLElement;
  readonly #title = h("h4");
  readonly #change = h("select.rlm-speed", { "aria-label": "What is changed" });
  readonly #field = h("textarea.rlm-edit", { spellcheck: "false", rows: 6 });
  readonly #start: HTMLButtonElement;
  readonly #note = h("p.rlm-answer");
  #agent: Agent | null = null;
  #drawn = "";

  constructor(private readonly session: Session) {
    for (const [value, words] of CHANGES) this.#change.append(h("option", { value }, words));
    on(this.#change, "change", () => this.#edit({ change: this.#change.value as BranchCommand["change"] }));
    on(this.#field, "input", () => this.#edit({ text: this.#field.value }));
    keepKeys(this.#change);
    keepKeys(this.#field);
    on(this.#field, "keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.shiftKey || event.metaKey)) return;
      take(event);
      this.#send();
    });
    this.#start = button("Branch from here", { class: "rlm-primary" }, () => this.#send());
    const cancel = button("Cancel", {}, () => this.#close());
    this.element = h(
      "section.rlm-step.rlm-branch-form",
      { "aria-label": "Ask from here instead" },
      h("div.rlm-turn-head", {}, this.#title, this.#change),
      this.#field,
      h("div.rlm-branch-buttons", {}, this.#start, cancel),
      this.#note,
    );
  }

  update(agent: Agent, detail: Detail | undefined): void {
    this.#agent = agent;
    const { choices, requests } = this.session;
    const entry = choices.branching.get(agent.id);
    const opened = entry !== undefined && this.session.canBranch(agent);
    show(this.element, opened);
    if (!opened) {
      this.#drawn = "";
      return;
    }
    const turn = detail?.turns.find((each) => each.turn === entry.turn);
    const cut = turn === undefined || turn.shortened > 0;
    const text = entry.text ?? (entry.change === "code" && !cut ? codeOf(turn) : "");
    put(this.#title, `Ask from turn ${entry.turn} instead`);
    this.#change.value = entry.change;
    const drawn = `${agent.id} ${entry.turn} ${entry.change}\n${text}`;
    if (drawn !== this.#drawn) {
      const fresh = this.#drawn === "";
      this.#drawn = drawn;
      if (this.#field.value !== text) this.#field.value = text;
      if (fresh) this.#field.focus({ preventScroll: true });
    }
    attribute(
      this.#field,
      "aria-label",
      entry.change === "code" ? "Code of the turn" : "What the model is told after the turn",
    );
    const request = requests.get(`branch:${agent.id}`);
    attribute(this.#start, "data-pending", requests.isPending(`branch:${agent.id}`));
    attribute(this.#start, "aria-disabled", text.trim() === "" ? "true" : null);
    const long = entry.text === null && entry.change === "code" && cut;
    const { id } = this.session.store.run;
    const words = long
      ? `This turn is too long to be shown whole: “%rlm branch ${id} ${entry.turn} --agent ${agent.id}” puts its code into a cell.`
      : `${WORDS[entry.change]} This run stays as it is; what the branch spends is its own.`;
    put(this.#note, request?.state === "error" ? request.message : words);
  }

  #edit(change: { change?: BranchCommand["change"]; text?: string }): void {
    const { branching } = this.session.choices;
    const entry = this.#agent ? branching.get(this.#agent.id) : undefined;
    if (!this.#agent || !entry) return;
    // Code is no observation: what stood there is left with the other choice.
    const text = change.change !== undefined ? null : (change.text ?? entry.text);
    branching.set(this.#agent.id, { ...entry, ...change, text });
    this.session.changed();
  }

  #close(): void {
    if (this.#agent) this.session.choices.branching.delete(this.#agent.id);
    this.session.changed();
  }

  #send(): void {
    const agent = this.#agent;
    const entry = agent ? this.session.choices.branching.get(agent.id) : undefined;
    if (!agent || !entry || this.#field.value.trim() === "") return;
    if (this.session.requests.isPending(`branch:${agent.id}`)) return;
    const { turn, change } = entry;
    this.session.send({ kind: "branch", agent: agent.id, turn, change, text: this.#field.value });
  }
}

/** The code of a turn, of all its cells. */
export function codeOf(turn: Turn): string {
  return turn.cells.map((cell) => cell.code.trimEnd()).join("\n\n");
}
