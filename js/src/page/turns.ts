/** Turn by turn: what the model was sent, its reply, the code in it, what the code printed. */

import { codeBlock } from "../dom/code";
import { attribute, button, h, keyed, put, putLine, putLong, show, tip } from "../dom/dom";
import { duration, line, money, plural, tokens } from "../dom/format";
import { segments } from "../dom/highlight";
import type { Cell, Picture, SubCall, ToolCall, Turn, TurnBranch } from "../state/protocol";
import type { MarkedLines } from "../state/session";
import { icon, setIcon } from "../tree/icons";
import { shortModel } from "../tree/tree_row";

/** A piece of a turn in reading order. */
export type Block =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "cell"; cell: Cell };

/**
 * A turn as it reads: prose, then each cell where its code stood in the reply. Code that was not run (yet) stays
 * plain code; a cell whose code is not in the reply (an edited one) comes after it.
 */
export function blocks(turn: Turn): Block[] {
  const cells = [...turn.cells];
  const found: Block[] = [];
  for (const segment of segments(turn.reply)) {
    if (segment.kind === "text") {
      found.push(segment);
      continue;
    }
    const at = cells.findIndex((cell) => cell.code.trim() === segment.text.trim());
    if (at < 0) found.push(segment);
    else found.push({ kind: "cell", cell: cells.splice(at, 1)[0] as Cell });
  }
  for (const cell of cells) found.push({ kind: "cell", cell });
  return found;
}

/** What can be done with the turns of an agent. */
export interface TurnActions {
  /** Asks for a turn that was cut. */
  whole(turn: number): void;
  /** Begins to write a branch; null where there can be none. */
  branch: ((turn: number) => void) | null;
  /** Goes to the row of an agent. */
  select(agent: string): void;
}

export function drawTurns(
  list: Element,
  turns: readonly Turn[],
  actions: TurnActions,
  marked: MarkedLines | null = null,
): void {
  keyed(
    list,
    turns,
    (turn) => String(turn.turn),
    () => new TurnView().element,
    (element, turn) => views.get(element)?.update(turn, actions, marked?.turn === turn.turn ? marked : null),
  );
}

const views = new WeakMap<Element, TurnView>();

class TurnView {
  readonly element: HTMLElement;
  readonly #title = h("h4");
  readonly #facts = h("span.rlm-turn-facts");
  readonly #body = h("div.rlm-turn-body");
  readonly #tools = h("ul.rlm-tools");
  readonly #error = h("pre.rlm-error");
  readonly #branches = h("div.rlm-turn-branches");
  readonly #whole: HTMLButtonElement;
  readonly #branch: HTMLButtonElement;
  #actions: TurnActions | null = null;
  #turn = 0;
  #drawn = "";

  constructor() {
    this.#whole = button("Whole turn", { class: "rlm-quiet rlm-whole" }, () =>
      this.#actions?.whole(this.#turn),
    );
    this.#branch = button("Ask from here instead", { class: "rlm-quiet rlm-branch" }, () =>
      this.#actions?.branch?.(this.#turn),
    );
    const head = h("div.rlm-turn-head", {}, this.#title, this.#whole, this.#facts, this.#branch);
    this.element = h("section.rlm-turn", {}, head, this.#body, this.#tools, this.#error, this.#branches);
    views.set(this.element, this);
  }

  update(turn: Turn, actions: TurnActions, marked: MarkedLines | null): void {
    this.#actions = actions;
    this.#turn = turn.turn;
    show(this.#branch, actions.branch !== null && !turn.streaming && turn.error === null);
    this.#drawBranches(turn.branches ?? []);
    put(this.#title, `Turn ${turn.turn}`);
    const facts = [
      `${about(turn)}${tokens(turn.input_tokens)} in`,
      `${tokens(turn.output_tokens)} out`,
      turn.streaming ? "" : turn.cost === null ? "cost unknown" : money(turn.cost),
      turn.streaming ? "streaming" : duration(turn.seconds),
      turn.cached ? "from cache" : "",
      turn.finish_reason !== null && !["stop", ""].includes(turn.finish_reason)
        ? `ended: ${turn.finish_reason}`
        : "",
    ];
    put(this.#facts, facts.filter((each) => each !== "").join(" · "));
    tip(this.#facts, `${shortModel(turn.model)}, was sent ${plural(turn.sent_chars, "character")}`);
    attribute(this.element, "data-streaming", turn.streaming);
    show(this.#whole, turn.shortened > 0);
    show(this.#error, Boolean(turn.error));
    putLong(this.#error, turn.error);
    this.#drawBody(turn, marked);
    drawTools(this.#tools, turn.tool_calls, turn.tools_called);
  }

  /** The branches that leave the run at this turn: each leads to its row. */
  #drawBranches(branches: readonly TurnBranch[]): void {
    show(this.#branches, branches.length > 0);
    keyed(
      this.#branches,
      branches,
      ({ agent }) => agent,
      ({ agent }) => button("", { class: "rlm-quiet" }, () => this.#actions?.select(agent)),
      (element, { agent, title }) => putLine(element, `${agent} ${title}`, 200),
    );
  }

  #drawBody(turn: Turn, marked: MarkedLines | null): void {
    const cellMarks = JSON.stringify(turn.cells.map(cellMark));
    const drawn = `${turn.reply.length} ${turn.streaming} ${cellMarks} ${JSON.stringify(marked)}`;
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    keyed(
      this.#body,
      blocks(turn),
      (block, at) => (block.kind === "cell" ? `cell ${block.cell.cell}` : `${at} ${block.kind}`),
      (block) => (block.kind === "cell" ? new CellView().element : h(block.kind === "text" ? "pre" : "div")),
      (element, block) => {
        if (block.kind === "cell") cells.get(element)?.update(block.cell, linesOf(block.cell, marked));
        else if (block.kind === "text") {
          attribute(element, "class", "rlm-prose");
          put(element, block.text);
        } else drawCode(element, block.text);
      },
    );
  }
}

/** What its code called in the notebook and on servers: a line each. */
function drawTools(list: Element, calls: readonly ToolCall[], count: number): void {
  const more = count - calls.length;
  const rest: ToolCall = { name: `… ${plural(more, "further call")}`, seconds: null, ok: true };
  keyed(
    list,
    more > 0 ? [...calls, rest] : calls,
    (_, at) => String(at),
    () => h("li", {}, h("b"), h("span")),
    (element, { name, ok, seconds, error }) => {
      attribute(element, "data-state", ok ? "done" : "failed");
      put(element.children[0] as Element, line(name, 80));
      const end = ok ? "" : `failed${error ? `: ${error}` : ""}`;
      put(element.children[1] as Element, ` ${line(`${duration(seconds)} ${end}`, 300)}`);
    },
  );
}

function cellMark(cell: Cell): unknown[] {
  return [
    cell.cell,
    cell.status,
    cell.code.length,
    cell.output.length,
    cell.cut,
    cell.seconds,
    cell.error?.length,
    cell.pictures?.map((picture) => picture.png.length),
  ];
}

/** The lines of a cell that the reader came for. */
function linesOf(cell: Cell, marked: MarkedLines | null): MarkedLines["lines"] | undefined {
  return marked?.cell === cell.cell ? marked.lines : undefined;
}

const drawnCode = new WeakMap<Element, string>();

function drawCode(element: Element, code: string, lines?: MarkedLines["lines"]): void {
  const drawn = `${lines ?? ""} ${code}`;
  if (drawnCode.get(element) === drawn) return;
  drawnCode.set(element, drawn);
  element.replaceChildren(codeBlock(code, lines));
}

const CELL_WORDS: Record<Cell["status"], string> = {
  running: "running",
  ok: "",
  error: "error",
  interrupted: "interrupted",
  timeout: "timed out",
  died: "kernel died",
};

const cells = new WeakMap<Element, { update(cell: Cell, lines?: MarkedLines["lines"]): void }>();

class CellView {
  readonly element: HTMLElement;
  readonly #code = h("div");
  readonly #facts = h("div.rlm-cell-facts");
  readonly #output = h("pre.rlm-output");
  readonly #error = h("pre.rlm-error");
  readonly #pictures = h("div.rlm-pictures");

  constructor() {
    this.element = h("div.rlm-cell", {}, this.#code, this.#facts, this.#output, this.#error, this.#pictures);
    cells.set(this.element, this);
  }

  update(cell: Cell, lines?: MarkedLines["lines"]): void {
    attribute(this.element, "data-status", cell.status);
    drawCode(this.#code, cell.code, lines);
    const facts = [`[${cell.cell}]`, CELL_WORDS[cell.status] ?? cell.status, duration(cell.seconds)];
    if (cell.cut > 0) facts.push(`${plural(cell.cut, "character")} of output cut`);
    put(this.#facts, facts.filter((each) => each !== "").join(" · "));
    show(this.#output, cell.output !== "");
    putLong(this.#output, cell.output);
    show(this.#error, cell.error !== null && cell.error !== "");
    putLong(this.#error, cell.error);
    drawPictures(this.#pictures, cell.pictures ?? []);
  }
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Figures and images that a cell has shown: PNG files that the notebook's process wrote, as data. */
function drawPictures(list: Element, pictures: readonly Picture[]): void {
  const shown = pictures.filter((picture) => BASE64.test(picture.png));
  show(list as HTMLElement, shown.length > 0);
  keyed(
    list,
    shown,
    (_, at) => String(at),
    () => h("img"),
    (element, picture) => {
      attribute(element, "alt", line(picture.summary, 200));
      attribute(element, "width", picture.width);
      attribute(element, "height", picture.height);
      attribute(element, "src", `data:image/png;base64,${picture.png}`);
    },
  );
}

const PURPOSES: Record<string, string> = {
  llm_query: "",
  repair: "[second try] ",
  fallback: "[sub-agent at the depth limit] ",
  summary: "[summary of old turns] ",
  plan: "[plan] ",
};

function about({ estimated }: { estimated?: boolean }): string {
  return estimated ? "about " : "";
}

function purposeWords(purpose: string | null | undefined): string {
  return purpose ? (PURPOSES[purpose] ?? `[${purpose.replace(/_/g, " ")}] `) : "";
}

/** The first look at the data, which was run before the first turn. */
export function drawLook(section: HTMLElement, look: Cell | null, marked: MarkedLines | null = null): void {
  show(section, look !== null);
  if (look === null) return;
  if (!section.firstChild) {
    const head = h("div.rlm-turn-head", {}, h("h4", {}, "First look"), h("span.rlm-turn-facts"));
    put(head.lastElementChild as Element, "run before the first turn");
    section.append(head, new CellView().element);
  }
  cells.get(section.lastElementChild as Element)?.update(look, marked?.turn === 0 ? marked.lines : undefined);
}

/** Plain model calls from the agent's code, a line each; open for the whole. */
export function drawCalls(list: Element, calls: readonly SubCall[]): void {
  keyed(
    list,
    calls,
    (call) => String(call.call),
    () => {
      const sign = icon("model");
      const summary = h("summary", {}, sign, h("span.rlm-call-text"), h("span.rlm-call-cost"));
      return h("details.rlm-call", {}, summary, h("pre.rlm-prose"), h("pre.rlm-prose"));
    },
    (element, call) => {
      const [summary, prompt, reply] = [...element.children] as [HTMLElement, HTMLElement, HTMLElement];
      const [sign, text, cost] = [...summary.children] as unknown as [
        SVGSVGElement,
        HTMLElement,
        HTMLElement,
      ];
      const done = call.status === "done" || call.status === "ok";
      setIcon(sign, done ? "done" : call.status === "running" ? "model" : "failed");
      attribute(element, "data-state", done ? "done" : call.status);
      put(text, line(`${purposeWords(call.purpose)}${call.prompt} → ${call.reply ?? call.status}`, 200));
      const facts = [about(call) + tokens(call.input_tokens + call.output_tokens), money(call.cost)];
      put(cost, [...(call.cached ? ["from cache"] : []), ...facts].join(" · "));
      putLong(prompt, call.prompt);
      putLong(reply, call.reply ?? call.status);
    },
  );
}
