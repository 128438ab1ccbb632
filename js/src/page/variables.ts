/** The variables of an agent, as in a debugger: the names at the left, the chosen one with its preview, and Pull. */

import { image, pictureAddress } from "../card/parts";
import { copyButton } from "../dom/code";
import { attribute, button, h, keepKeys, keyed, on, put, putLine, show, take } from "../dom/dom";
import { bytes, isName } from "../dom/format";
import type { CardPicture, Detail, Variable } from "../state/protocol";
import { FINAL, type Session } from "../state/session";
import { describe, placeWords, shapeOf, summaryOf } from "./value_view";

export class VariablesView {
  readonly element: HTMLElement;
  readonly field = h("input.rlm-field", {
    "aria-label": "Pull as",
    autocomplete: "off",
    spellcheck: "false",
  });
  readonly #title = h("span");
  readonly #list = h("div.rlm-names", { role: "listbox", "aria-label": "Variables" });
  readonly #summary = h("div.rlm-variable-summary");
  readonly #preview = h("div.rlm-variable-preview");
  readonly #pull: HTMLButtonElement;
  readonly #overwrite: HTMLButtonElement;
  readonly #answer = h("span.rlm-answer");
  readonly #form: HTMLElement;
  readonly #toggle: HTMLButtonElement;
  readonly #body: HTMLElement;
  #agent = "";
  #variables: readonly Variable[] = [];
  #drawn: Detail | undefined;
  #drawnPreview: Variable | null = null;
  #drawnList: readonly unknown[] = [];

  constructor(private readonly session: Session) {
    this.#pull = button("Pull", { class: "rlm-primary" }, () => this.#send(false));
    this.#overwrite = button("Overwrite", { class: "rlm-danger" }, () => this.#send(true));
    on(this.field, "input", () => this.#onInput());
    on(this.field, "keydown", (event) => {
      if (event.key === "Enter") this.#send(false);
    });
    keepKeys(this.field);
    const copy = copyButton("Copy as code", () => this.#asCode());
    attribute(copy, "title", "Copies the line that pulls this variable");
    const label = h("span.rlm-label", {}, "Pull as");
    this.#form = h("div.rlm-pull", {}, label, this.field, this.#pull, this.#overwrite, copy, this.#answer);
    const shown = h("div.rlm-variable", {}, this.#form, this.#summary, this.#preview);
    this.#body = h("div.rlm-variables-body", {}, this.#list, shown);
    this.#toggle = button("", { class: "rlm-section" }, () => {
      session.choices.variablesOpen = !session.choices.variablesOpen;
      session.changed();
    });
    this.#toggle.append(this.#title);
    this.element = h("section.rlm-variables", { "aria-label": "Variables" }, this.#toggle, this.#body);
    // Who works with a variable keeps it, whatever the agent makes meanwhile.
    on(this.element, "focusin", () => {
      const chosen = this.#chosen();
      if (chosen) session.choices.variable.set(this.#agent, chosen.name);
    });
    on(this.#list, "click", (event) => this.#onClick(event));
    on(this.#list, "keydown", (event) => this.#onKey(event));
  }

  update(agent: string, detail: Detail | undefined): void {
    const { choices } = this.session;
    this.#agent = agent;
    if (detail !== this.#drawn || !detail) {
      this.#drawn = detail;
      // What it gave to FINAL stands first: that is what it was asked for.
      const value = detail?.value ? [{ ...detail.value, name: FINAL }] : [];
      this.#variables = [...value, ...(detail?.variables ?? [])];
    }
    const variables = this.#variables;
    show(this.element, variables.length > 0);
    put(this.#title, `Variables ${detail?.variables.length ?? 0}`);
    attribute(this.#toggle, "aria-expanded", String(choices.variablesOpen));
    attribute(this.element, "data-open", choices.variablesOpen);
    show(this.#body, choices.variablesOpen);
    const chosen = this.#chosen();
    this.#drawList(chosen);
    if (chosen) this.#updateChosen(chosen);
  }

  #drawList(chosen: Variable | undefined): void {
    const variables = this.#variables;
    if (this.#drawnList[0] === variables && this.#drawnList[1] === chosen) return;
    this.#drawnList = [variables, chosen];
    keyed(
      this.#list,
      variables,
      (variable) => variable.name,
      (variable) =>
        h(
          "div.rlm-variable-name",
          { role: "option", "data-name": variable.name },
          h("span.rlm-mono"),
          h("small"),
        ),
      (element, variable) => {
        const selected = variable === chosen;
        attribute(element, "aria-selected", String(selected));
        attribute(element, "tabindex", selected ? 0 : -1);
        putLine(element.children[0] as Element, nameOf(variable), 80);
        putLine(element.children[1] as Element, shortSummary(variable), 60);
        drawThumbnail(element, variable.thumbnail);
      },
    );
  }

  #chosen(): Variable | undefined {
    const name = this.session.choices.variable.get(this.#agent);
    return this.#variables.find((variable) => variable.name === name) ?? firstChoice(this.#variables);
  }

  #updateChosen(variable: Variable): void {
    const { session } = this;
    const agent = this.#agent;
    putLine(this.#summary, [summaryOf(variable), ...origin(agent, variable)].join(" · "), 300);
    if (this.#drawnPreview !== variable) {
      this.#drawnPreview = variable;
      const body = describe(variable, nameOf(variable));
      const picture =
        variable.thumbnail && pictureAddress(variable.thumbnail)
          ? [thumbnail(variable.thumbnail, summaryOf(variable))]
          : [];
      this.#preview.replaceChildren(...picture, ...(body ? [body] : []));
    }
    const name = session.pullAs(agent, variable.name);
    if (this.field.value !== name) this.field.value = name;
    const request = session.requests.get(`pull:${agent}:${variable.name}`);
    const pending = request?.state === "pending" || request?.state === "slow";
    attribute(this.#pull, "data-pending", pending);
    attribute(this.#pull, "aria-disabled", pending ? "true" : null);
    show(this.#overwrite, request?.state === "error" && request.reason === "exists");
    const valid = isName(name);
    attribute(this.field, "aria-invalid", valid ? null : "true");
    attribute(this.#answer, "data-state", request?.state ?? null);
    const words = request?.message || (request?.state === "done" ? `now \`${name}\` in the notebook` : "");
    const waits = session.store.run.clicks
      ? "no answer yet: the kernel may be running another cell"
      : "available when the cell finishes";
    put(this.#answer, valid ? (request?.state === "slow" ? waits : words) : "not a valid Python name");
  }

  #onInput(): void {
    const variable = this.#chosen();
    if (!variable) return;
    this.session.choices.pullAs.set(`${this.#agent}:${variable.name}`, this.field.value);
    this.session.requests.drop(`pull:${this.#agent}:${variable.name}`);
    this.session.changed();
  }

  #send(overwrite: boolean): void {
    const variable = this.#chosen();
    const name = this.field.value.trim();
    if (!variable || !isName(name) || this.session.requests.isPending(`pull:${this.#agent}:${variable.name}`))
      return;
    this.session.pull(this.#agent, variable.name, name, overwrite);
  }

  #asCode(): string {
    const variable = this.#chosen();
    if (!variable) return "";
    return ["%rlm pull", this.#agent, ...(variable.name ? [variable.name] : []), "-o", this.field.value].join(
      " ",
    );
  }

  #choose(name: string): void {
    this.session.choices.variable.set(this.#agent, name);
    this.session.changed();
  }

  #onClick(event: MouseEvent): void {
    const name = (event.target as Element).closest<HTMLElement>("[data-name]")?.dataset.name;
    if (name !== undefined) this.#choose(name);
  }

  #onKey(event: KeyboardEvent): void {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, Home: -1e9, End: 1e9 };
    const step = steps[event.key];
    const chosen = this.#chosen();
    if (step === undefined || !chosen) return;
    const at = this.#variables.indexOf(chosen);
    take(event);
    const next = this.#variables[Math.min(Math.max(at + step, 0), this.#variables.length - 1)];
    if (!next) return;
    this.#choose(next.name);
    (this.#list.children[this.#variables.indexOf(next)] as HTMLElement | undefined)?.focus();
  }
}

/** A chart among the variables, small at the end of its row. */
function drawThumbnail(row: Element, shown: CardPicture | undefined): void {
  const known = row.querySelector("img");
  const address = shown ? pictureAddress(shown) : "";
  if (known?.getAttribute("src") === address) return;
  known?.remove();
  if (address !== "") row.append(h("img.rlm-thumb", { alt: "", src: address }));
}

function thumbnail(shown: CardPicture, words: string): HTMLElement {
  return h("div.rlm-pictures", {}, image(shown, words));
}

const DULL = new Set(["function", "builtin_function_or_method", "method", "type", "module"]);

/** The first thing worth a look: the value, else what is not handed over but made, frames before the rest. */
function firstChoice(variables: readonly Variable[]): Variable | undefined {
  if (variables[0]?.name === FINAL) return variables[0];
  const made = variables.filter(({ name, type }) => name !== "context" && !DULL.has(type ?? ""));
  return made.find((variable) => (variable.columns?.length ?? 0) > 0) ?? made[0] ?? variables[0];
}

function nameOf(variable: Variable): string {
  return variable.name === FINAL ? "FINAL value" : variable.name;
}

function shortSummary(variable: Variable): string {
  const shape = shapeOf(variable) || bytes(variable.bytes || null);
  const place = variable.place === "memory" ? "" : (variable.place ?? "");
  return [variable.type ?? "", shape, place].filter((part) => part !== "").join(" ");
}

function origin(agent: string, variable: Variable): string[] {
  const place = placeWords(variable.place);
  return [...(variable.turn ? [`from turn ${variable.turn} of ${agent}`] : []), ...(place ? [place] : [])];
}
