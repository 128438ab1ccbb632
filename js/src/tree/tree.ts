/** The tree: virtual rows, the keyboard, and what a screen reader hears. Only the rows in sight are elements. */

import { attribute, h, on, show, take, tip } from "../dom/dom";
import type { Session } from "../state/session";
import { flatten, isGroup, parentIndex, type Row } from "../state/visible_rows";
import { TimeAxis } from "../timeline/time_axis";
import { RowView } from "./tree_row";

/** Pixels; the style sheet says the same. */
export const ROW_HEIGHT = 26;
const HEADER_HEIGHT = 26;
const OVERSCAN = 8;
const TYPE_AHEAD_MS = 800;

const COLUMNS = [
  ["agent", "Agent"],
  ["state", "State"],
  ["model", "Model"],
  ["turns", "Turns"],
  ["tokens", "Tokens"],
  ["spend", "Spend"],
  ["time", "Time"],
] as const;

export class TreeView {
  readonly element: HTMLElement;
  readonly canvas: HTMLElement;
  readonly #redraw: () => void;
  readonly #scroller: HTMLElement;
  readonly #columns: HTMLElement;
  readonly #empty: HTMLElement;
  readonly axis: TimeAxis;
  readonly #views = new Map<string, RowView>();
  #rows: Row[] = [];
  /** Where keys were last found; a guess that is checked, because a map of 10,000 rows costs more than a look. */
  readonly #places = new Map<string, number>();
  /** Rows that went out of sight, for those that come in. */
  readonly #spare: RowView[] = [];
  #drawn = "";
  #typed = { text: "", at: Number.NEGATIVE_INFINITY };
  #wantsFocus = false;
  /** Kept from events: to ask the page while drawing would make it lay out twice a frame. */
  #scrollTop = 0;
  #height = 0;

  constructor(
    private readonly session: Session,
    /** Draws soon: scrolling and keys end here. */
    redraw: () => void,
    /** Moves the keyboard to the agent's page. */
    private readonly enter: (control: "page" | "pull" | "stop") => void,
  ) {
    this.#redraw = redraw;
    this.axis = new TimeAxis(session, redraw);
    this.#columns = h(
      "div.rlm-columns",
      { "aria-hidden": "true" },
      ...COLUMNS.map(([name, title]) => h("span", { class: `rlm-c-${name}` }, title)),
      this.axis.element,
    );
    this.#empty = h("p.rlm-empty", {}, "Waiting for the kernel …");
    this.canvas = h("div.rlm-canvas", { role: "tree" });
    this.#scroller = h("div.rlm-scroll", {}, this.#columns, this.canvas, this.#empty);
    this.element = h("div.rlm-tree", {}, this.#scroller);
    on(this.#scroller, "scroll", () => this.#onScroll(), { passive: true });
    on(this.canvas, "click", (event) => this.#onClick(event));
    on(this.canvas, "keydown", (event) => this.#onKey(event));
    on(this.canvas, "focusin", (event) => this.#onFocus(event));
    this.axis.listen(this.#scroller, this.element);
  }

  update(): void {
    const { store, choices } = this.session;
    this.#flatten();
    const timeline = choices.tab === "timeline";
    attribute(this.element, "data-tab", choices.tab);
    tip(this.canvas, store.run.question.trim() || "Agents", "aria-label");
    attribute(this.canvas, "aria-busy", store.run.status === "running" ? "true" : "false");
    this.canvas.style.height = `${this.#rows.length * ROW_HEIGHT}px`;
    show(this.canvas, this.#rows.length > 0);
    show(this.#empty, this.#rows.length === 0);
    if (timeline) this.axis.update();
    this.#draw();
  }

  /** Takes the size that the page gave it. */
  resize(): void {
    const { clientHeight, scrollTop } = this.#scroller;
    // An output that JupyterLab took out of the page and put back has forgotten where it was.
    if (this.#height === 0 && clientHeight > 0 && scrollTop === 0) this.#scroller.scrollTop = this.#scrollTop;
    if (clientHeight > 0) this.#scrollTop = this.#scroller.scrollTop;
    this.#height = clientHeight;
    this.axis.resize();
  }

  /** Puts the keyboard on a row. */
  focus(key: string): void {
    this.session.choices.focused = key;
    const at = this.#place(key);
    if (at >= 0) this.#scrollTo(at);
    this.#wantsFocus = true;
    this.#redraw();
  }

  #flatten(): void {
    const { store, choices } = this.session;
    const version = `${store.structure} ${choices.folds.version}`;
    if (version === this.#drawn) return;
    this.#drawn = version;
    this.#rows = flatten(store, choices.folds);
  }

  /** The index of a row; -1: it is not in the open tree. */
  #place(key: string): number {
    const guess = this.#places.get(key);
    if (guess !== undefined && this.#rows[guess]?.key === key) return guess;
    const at = this.#rows.findIndex((row) => row.key === key);
    if (this.#places.size > 100) this.#places.clear();
    this.#places.set(key, at);
    return at;
  }

  /** The row that Tab reaches: the focused one, else the selected one, else the first. */
  #tabStop(): string | null {
    const { focused, selected } = this.session.choices;
    if (focused !== null && this.#place(focused) >= 0) return focused;
    if (selected !== null && this.#place(selected) >= 0) return selected;
    return this.#rows[0]?.key ?? null;
  }

  #draw(): void {
    const height = this.#height || 600;
    const top = Math.max(0, this.#scrollTop - HEADER_HEIGHT);
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - OVERSCAN);
    const last = Math.min(this.#rows.length, Math.ceil((top + height) / ROW_HEIGHT) + OVERSCAN);
    const stop = this.#tabStop();
    // The row with the keyboard stays an element wherever it is: focus must not fall out of the tree.
    const kept = stop === null ? -1 : this.#place(stop);
    const wanted: number[] = [];
    if (kept >= 0 && kept < first) wanted.push(kept);
    for (let at = first; at < last; at += 1) wanted.push(at);
    if (kept >= last) wanted.push(kept);
    this.#arrange(wanted, stop);
  }

  #arrange(wanted: readonly number[], stop: string | null): void {
    const keys = new Set(wanted.map((at) => (this.#rows[at] as Row).key));
    for (const [key, view] of this.#views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
      if (!isGroup(key) && this.#spare.length < 60) this.#spare.push(view);
    }
    const { choices } = this.session;
    let before: ChildNode | null = this.canvas.firstChild;
    for (const at of wanted) {
      const row = this.#rows[at] as Row;
      let view = this.#views.get(row.key);
      if (!view) {
        view = (row.group ? undefined : this.#spare.pop()) ?? new RowView(this.session, row.group);
        this.#views.set(row.key, view);
      }
      if (view.element === before) before = before.nextSibling;
      else this.canvas.insertBefore(view.element, before);
      view.update(row, at * ROW_HEIGHT, {
        selected: !row.group && row.id === choices.selected,
        tabStop: row.key === stop,
        axis: choices.tab === "timeline" ? this.axis : null,
      });
    }
    if (this.#wantsFocus && stop !== null) {
      this.#wantsFocus = false;
      this.#views.get(stop)?.element.focus({ preventScroll: true });
    }
  }

  #scrollTo(at: number): void {
    const top = at * ROW_HEIGHT + HEADER_HEIGHT;
    const height = this.#height;
    if (height === 0) return;
    if (top < this.#scrollTop + HEADER_HEIGHT) this.#scroller.scrollTop = top - HEADER_HEIGHT;
    else if (top + ROW_HEIGHT > this.#scrollTop + height)
      this.#scroller.scrollTop = top + ROW_HEIGHT - height;
    this.#scrollTop = this.#scroller.scrollTop;
  }

  #onScroll(): void {
    this.#scrollTop = this.#scroller.scrollTop;
    this.#redraw();
  }

  #rowOf(event: Event): Row | undefined {
    const element = (event.target as Element).closest<HTMLElement>("[data-key]");
    return element ? this.#rows[this.#place(element.dataset.key ?? "")] : undefined;
  }

  #onClick(event: MouseEvent): void {
    const row = this.#rowOf(event);
    if (!row) return;
    const twisty = (event.target as Element).closest(".rlm-twisty") !== null;
    if (row.group || (twisty && row.expanded !== null)) this.#toggle(row);
    else this.session.select(row.id);
    this.focus(row.key);
  }

  #onFocus(event: FocusEvent): void {
    const row = this.#rowOf(event);
    if (row) this.session.choices.focused = row.key;
  }

  #toggle(row: Row, open = !row.expanded): void {
    this.session.choices.folds.set(row.key, open);
    this.session.changed();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.#place(this.#tabStop() ?? "");
    if (at < 0 || !this.#handle(event, at)) return;
    take(event);
  }

  /** The W3C tree pattern. True: the key was ours, and JupyterLab must not see it. */
  #handle(event: KeyboardEvent, at: number): boolean {
    const row = this.#rows[at] as Row;
    if (this.axis.onKey(event, row.group ? "" : row.id)) return true;
    const page = Math.max(1, Math.floor((this.#height - HEADER_HEIGHT) / ROW_HEIGHT) - 1);
    switch (event.key) {
      case "ArrowDown":
        return this.#move(at + 1);
      case "ArrowUp":
        return this.#move(at - 1);
      case "PageDown":
        return this.#move(at + page);
      case "PageUp":
        return this.#move(at - page);
      case "Home":
        return this.#move(0);
      case "End":
        return this.#move(this.#rows.length - 1);
      case "ArrowRight":
        if (row.expanded === false) this.#toggle(row, true);
        else if (row.expanded) this.#move(at + 1);
        return true;
      case "ArrowLeft":
        if (row.expanded) this.#toggle(row, false);
        else this.#move(Math.max(parentIndex(this.#rows, at), 0));
        return true;
      case "Enter":
      case " ":
        if (row.group) this.#toggle(row);
        else this.#open(row, event.key === "Enter");
        return true;
      case "*":
        this.#openSiblings(at);
        return true;
      default:
        return this.#letter(event, at);
    }
  }

  #open(row: Row, enter: boolean): void {
    this.session.select(row.id);
    if (enter) this.enter("page");
  }

  #move(to: number): true {
    const row = this.#rows[Math.min(Math.max(to, 0), this.#rows.length - 1)];
    if (!row) return true;
    // With a page open, the page follows the keyboard, as in a mail program.
    if (this.session.choices.selected !== null && !row.group) this.session.select(row.id);
    this.focus(row.key);
    return true;
  }

  #openSiblings(at: number): void {
    const { level } = this.#rows[at] as Row;
    const parent = parentIndex(this.#rows, at);
    for (let next = parent + 1; next < this.#rows.length; next += 1) {
      const row = this.#rows[next] as Row;
      if (row.level < level) break;
      if (row.level === level && row.expanded === false) this.session.choices.folds.set(row.key, true);
    }
    this.session.changed();
  }

  #letter(event: KeyboardEvent, at: number): boolean {
    if (event.key.length !== 1) return false;
    const now = event.timeStamp;
    const fresh = now - this.#typed.at > TYPE_AHEAD_MS;
    const row = this.#rows[at] as Row;
    if (fresh && !row.group && (event.key === "p" || event.key === "s")) {
      this.session.select(row.id);
      this.enter(event.key === "p" ? "pull" : "stop");
      return true;
    }
    this.#typed = { text: (fresh ? "" : this.#typed.text) + event.key.toLowerCase(), at: now };
    const found = this.#find(this.#typed.text, fresh ? at + 1 : at);
    if (found >= 0) this.#move(found);
    return true;
  }

  /** Type-ahead: the next row whose id or words begin with what was typed. */
  #find(text: string, from: number): number {
    for (let step = 0; step < this.#rows.length; step += 1) {
      const at = (from + step) % this.#rows.length;
      const row = this.#rows[at] as Row;
      const agent = this.session.store.agents.get(row.id);
      if (row.group || !agent) continue;
      const words = (agent.name ?? agent.question).toLowerCase();
      if (row.id.startsWith(text) || words.startsWith(text)) return at;
    }
    return -1;
  }
}
