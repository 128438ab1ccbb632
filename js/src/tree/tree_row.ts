/** One row of the tree: an agent, or the group of its many sub-agents. */

import { attribute, h, percents, put, putLine, show, tip } from "../dom/dom";
import { duration, money, plural, tokens, whole } from "../dom/format";
import type { Agent } from "../state/protocol";
import type { Session } from "../state/session";
import {
  countWords,
  doingWords,
  type Row,
  type State,
  shares,
  shortState,
  stateOf,
} from "../state/visible_rows";
import type { TimeAxis } from "../timeline/time_axis";
import { icon, setIcon } from "./icons";

export interface RowLook {
  selected: boolean;
  tabStop: boolean;
  /** The time scale in the timeline; `null` in the tree. */
  axis: TimeAxis | null;
}

export class RowView {
  readonly element: HTMLElement;
  readonly #guides = h("span.rlm-guides");
  readonly #twisty = h("span.rlm-twisty");
  readonly #sign = icon("running");
  readonly #id = h("span.rlm-id");
  readonly #text = h("span.rlm-text");
  readonly #failures = h("span.rlm-failures");
  readonly #state = h("span.rlm-c-state", { "aria-hidden": "true" });
  readonly #model = h("span.rlm-c-model", { "aria-hidden": "true" });
  readonly #turns = h("span.rlm-c-turns", { "aria-hidden": "true" });
  readonly #tokens = h("span.rlm-c-tokens", { "aria-hidden": "true" });
  readonly #spend = h("span.rlm-sum");
  readonly #own = h("i.rlm-own");
  readonly #below = h("i.rlm-below");
  readonly #time = h("span.rlm-c-time", { "aria-hidden": "true" });
  readonly #track = h("span.rlm-track", { "aria-hidden": "true" });
  /** What a screen reader hears after the words: the columns are for the eye. */
  readonly #spoken = h("span.rlm-offscreen");
  /** What was drawn: to look that up here is cheaper than to ask the page. */
  #placed = "";
  #filled = "";
  #drawnGuides = "";
  readonly #shares = [-1, -1];

  constructor(
    private readonly session: Session,
    private readonly group: boolean,
  ) {
    const name = h(
      "span.rlm-c-agent",
      {},
      this.#guides,
      this.#twisty,
      this.#sign,
      this.#id,
      this.#text,
      this.#failures,
    );
    const share = h("span.rlm-share", {}, this.#own, this.#below);
    const spend = h("span.rlm-c-spend", { "aria-hidden": "true" }, this.#spend, share);
    this.element = h(
      "div",
      { class: group ? "rlm-row rlm-group" : "rlm-row", role: "treeitem" },
      name,
      this.#spoken,
      this.#state,
      this.#model,
      this.#turns,
      this.#tokens,
      spend,
      this.#time,
      this.#track,
    );
  }

  update(row: Row, top: number, look: RowLook): void {
    const { element } = this;
    const placed = `${row.key} ${top} ${row.level} ${row.setsize} ${row.posinset} ${row.guides} ${row.expanded} ${look.selected} ${look.tabStop}`;
    if (placed !== this.#placed) {
      this.#placed = placed;
      element.style.transform = `translateY(${top}px)`;
      attribute(element, "data-key", row.key);
      attribute(element, "aria-level", row.level);
      attribute(element, "aria-setsize", row.setsize);
      attribute(element, "aria-posinset", row.posinset);
      attribute(element, "aria-expanded", row.expanded === null ? null : String(row.expanded));
      attribute(element, "aria-selected", String(look.selected));
      attribute(element, "tabindex", look.tabStop ? 0 : -1);
      this.#drawGuides(row);
    }
    if (this.group) this.#fillGroup(row, look.axis);
    else this.#fillAgent(row, look.axis);
  }

  #drawGuides(row: Row): void {
    const drawn = `${row.level} ${row.guides} ${row.posinset === row.setsize} ${row.expanded}`;
    if (drawn === this.#drawnGuides) return;
    this.#drawnGuides = drawn;
    const lines: HTMLElement[] = [];
    for (let level = 1; level < row.level; level += 1) {
      const more = (row.guides >> Math.min(level, 30)) & 1;
      const last = level === row.level - 1;
      const kind = last ? (more ? "tee" : "elbow") : more ? "line" : "blank";
      lines.push(h("i", { class: `rlm-guide rlm-guide-${kind}` }));
    }
    this.#guides.replaceChildren(...lines);
    this.#guides.classList.toggle("rlm-deep", row.level > 7);
    this.#twisty.replaceChildren(...(row.expanded === null ? [] : [icon("open")]));
  }

  #fillAgent(row: Row, axis: TimeAxis | null): void {
    const { session } = this;
    const agent = session.store.agents.get(row.id);
    if (!agent) return;
    const elapsed = session.elapsed(agent);
    const failures = session.store.failures(agent.id);
    this.#drawShare(agent);
    if (axis) axis.drawLane(this.#track, agent);
    const filled = `${agent.id} ${agent.stamp} ${failures} ${Math.floor(elapsed ?? -1)}`;
    if (filled === this.#filled) return;
    this.#filled = filled;
    const state = stateOf(agent);
    const running = agent.status === "running";
    setIcon(this.#sign, state);
    attribute(this.element, "data-state", state);
    attribute(this.element, "data-branch", session.store.isBranch(agent));
    put(this.#id, agent.id);
    putLine(this.#text, agent.name ?? agent.question, 300);
    show(this.#failures, failures > 0);
    put(this.#failures, failures > 0 ? `${whole(failures)} failed below` : "");
    put(this.#state, shortState(state));
    tip(this.#state, doingWords(agent));
    putLine(this.#model, shortModel(agent.model), 60);
    put(this.#turns, agent.turns ? whole(agent.turns) : "");
    const used = agent.input_tokens + agent.output_tokens;
    put(this.#tokens, used ? tokens(used) : "");
    const spent = agent.cost_total ?? agent.cost;
    put(this.#spend, spent === null ? "?" : money(spent));
    put(this.#time, duration(elapsed, running));
    tip(this.element, agent.error ?? agent.question);
    put(this.#spoken, spoken(agent, elapsed));
  }

  #drawShare(agent: Agent): void {
    const { run } = this.session.store;
    // What a branch spends is no part of what the run has spent.
    if (agent.branch !== null) {
      this.#setShares(0, 0);
      return;
    }
    const cost = run.cost ?? 0;
    // Where nothing is paid (a local model) tokens are what is spent; of those below a row has no sum.
    const used = run.input_tokens + run.output_tokens;
    const tokens = used > 0 ? (agent.input_tokens + agent.output_tokens) / used : 0;
    const total = cost > 0 ? (agent.cost_total ?? 0) / cost : tokens;
    const own = cost > 0 && agent.cost !== null ? agent.cost / cost : total;
    this.#setShares(own, Math.max(total - own, 0));
  }

  #fillGroup(row: Row, axis: TimeAxis | null): void {
    const { store } = this.session;
    const sums = store.totals(row.id);
    const total = store.run.cost ?? 0;
    this.#setShares(0, total > 0 && sums.cost !== null ? sums.cost / total : 0);
    if (axis) axis.drawGroup(this.#track, sums);
    const elapsed = sums.started === null ? null : (sums.ended ?? this.session.now()) - sums.started;
    const filled = `${row.id} ${store.seq} ${Math.floor(elapsed ?? -1)}`;
    if (filled === this.#filled) return;
    this.#filled = filled;
    const counts = store.statuses(row.id);
    const words = countWords(counts);
    setIcon(this.#sign, "group");
    put(this.#id, plural(store.children(row.id).length, "agent"));
    put(this.#text, words);
    this.#drawHistogram(shares(counts));
    put(this.#turns, sums.turns ? whole(sums.turns) : "");
    put(this.#tokens, sums.tokens ? tokens(sums.tokens) : "");
    put(this.#spend, sums.cost === null ? "?" : money(sums.cost));
    put(this.#time, duration(elapsed, sums.ended === null));
    tip(this.element, `Sub-agents of ${row.id}: ${words}`);
  }

  /** The bar of a row's part of the spend: its own, and that of all below it. */
  #setShares(own: number, below: number): void {
    [own, below].forEach((share, at) => {
      const width = share <= 0 ? 0 : Math.round(Math.max(Math.min(share, 1), 0.02) * 1000);
      if (width === this.#shares[at]) return;
      this.#shares[at] = width;
      (at === 0 ? this.#own : this.#below).style.width = percents(width / 1000);
    });
  }

  #drawHistogram(parts: readonly [State, number][]): void {
    if (this.#state.childElementCount === 0) {
      const bar = h("span.rlm-histogram");
      bar.append(...parts.map(([status]) => h("i", { "data-state": status })));
      this.#state.append(bar);
    }
    const bar = this.#state.firstElementChild as HTMLElement;
    parts.forEach(([, share], at) => {
      const part = bar.children[at] as HTMLElement;
      const grow = share === 0 ? "0" : String(Math.max(share, 0.02));
      if (part.style.flexGrow !== grow) part.style.flexGrow = grow;
      if (part.hidden !== (share === 0)) part.hidden = share === 0;
    });
  }
}

/** `gpt-5` for `openai/gpt-5`. */
export function shortModel(model: string | null): string {
  return model === null ? "" : model.slice(model.lastIndexOf("/") + 1);
}

function spoken(agent: Agent, elapsed: number | null): string {
  const parts = [
    doingWords(agent),
    plural(agent.turns, "turn"),
    agent.cost === null ? "cost unknown" : money(agent.cost_total ?? agent.cost),
    elapsed === null || agent.status === "running" ? "" : duration(elapsed),
  ];
  return parts.filter((part) => part !== "").join(", ");
}
