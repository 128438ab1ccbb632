/** The timeline's scale and lanes: draws what `timeline.ts` computes, and zooms. */

import { attribute, h, keyed, on, percents, put } from "../dom/dom";
import { duration } from "../dom/format";
import type { AgentState, Totals } from "../state/run_store";
import type { Session } from "../state/session";
import {
  type Bar,
  below,
  between,
  criticalPath,
  domain,
  lane,
  panBy,
  ticks,
  visible,
  type Window,
  zoomBy,
} from "./timeline";
import { Drag } from "./zoom_drag";

const WORDS: Record<Bar["kind"], string> = { model: "model", code: "code", wait: "waiting", life: "agent" };

export class TimeAxis {
  readonly element = h("span.rlm-axis");
  #window: Window = [0, 1];
  #whole: Window = [0, 1];
  #width = 400;
  #drag: Drag | null = null;
  /** Rises when lanes look otherwise though no agent changed. */
  #version = 0;
  readonly #drawn = new WeakMap<HTMLElement, string>();
  #critical = new Map<string, Window[]>();
  #computed = { structure: -1, at: 0, status: "" };

  constructor(
    private readonly session: Session,
    private readonly redraw: () => void,
  ) {}

  /** Ctrl + wheel zooms about the pointer, a sideways wheel pans, dragging zooms to what was dragged over. */
  listen(scroller: HTMLElement, frame: HTMLElement): void {
    on(scroller, "wheel", (event) => this.#onWheel(event), { passive: false });
    this.#drag = new Drag(frame, {
      axis: this.element,
      active: () => this.session.choices.tab === "timeline",
      words: (from, to) => duration((to - from) * (this.#window[1] - this.#window[0])),
      zoom: (from, to) => this.show(between(this.#window, from, to, this.#whole)),
      reset: () => this.fit(),
    });
  }

  resize(): void {
    this.#width = this.element.clientWidth || this.#width;
    this.#version += 1;
  }

  update(): void {
    const { store, choices } = this.session;
    const { run } = store;
    this.#whole = domain(this.session.elapsed(run) ?? 0, run.status === "running");
    const [from, to] = this.#window;
    this.#window = choices.zoom ?? this.#whole;
    if (from !== this.#window[0] || to !== this.#window[1]) this.#version += 1;
    this.#findPath();
    const marks = ticks(this.#window, Math.max(2, Math.floor(this.#width / 90)));
    keyed(
      this.element,
      marks,
      (at) => String(at),
      () => h("b.rlm-tick"),
      (tick, at) => {
        put(tick, at === 0 ? "0" : duration(at).replace(/\.0+ s$/, " s"));
        this.#setLeft(tick as HTMLElement, at);
      },
    );
  }

  drawLane(track: HTMLElement, agent: AgentState): void {
    const { store } = this.session;
    const drawn = `${agent.id} ${agent.stamp} ${this.#version}`;
    if (agent.status !== "running" && this.#drawn.get(track) === drawn) return;
    this.#drawn.set(track, drawn);
    const now = this.session.now();
    const all = lane(agent, store.run.started ?? 0, now, below(store, agent.id, now));
    const bars = visible(all, this.#window, this.#width);
    const marked = this.#critical.get(agent.id) ?? [];
    this.#draw(track, bars, marked);
  }

  drawGroup(track: HTMLElement, sums: Totals): void {
    const origin = this.session.store.run.started ?? 0;
    const now = this.session.now();
    const bars: Bar[] =
      sums.started === null
        ? []
        : [{ kind: "life", from: sums.started - origin, to: (sums.ended ?? now) - origin }];
    this.#draw(track, visible(bars, this.#window, this.#width), []);
  }

  /** In the timeline: `+`, `-`, `0` and Escape zoom, Shift with an arrow pans, `z` zooms to an agent's life. */
  onKey(event: KeyboardEvent, id: string): boolean {
    const { choices, store } = this.session;
    if (choices.tab !== "timeline") return false;
    const quarter = (this.#window[1] - this.#window[0]) / 4;
    const agent = store.agents.get(id);
    if (event.key === "Escape" && this.#drag?.cancel()) return true;
    if (event.key === "0" || (event.key === "Escape" && choices.zoom)) this.fit();
    else if (event.key === "-") this.zoom(1.6);
    else if (event.key === "+" || event.key === "=") this.zoom(1 / 1.6);
    else if (event.shiftKey && event.key === "ArrowLeft") this.#pan(-quarter);
    else if (event.shiftKey && event.key === "ArrowRight") this.#pan(quarter);
    else if (event.key === "z" && agent) this.show(this.#life(agent));
    else return false;
    return true;
  }

  /** Shows a stretch of the run; `null`: all of it. */
  show(window: Window | null): void {
    this.session.choices.zoom = window;
    this.redraw();
  }

  zoom(factor: number, centre = (this.#window[0] + this.#window[1]) / 2): void {
    this.show(zoomBy(this.#window, factor, centre, this.#whole));
  }

  fit(): void {
    this.show(null);
  }

  #pan(seconds: number): void {
    if (this.session.choices.zoom) this.show(panBy(this.#window, seconds, this.#whole));
  }

  /** From an agent's start to its end, with a little air. */
  #life(agent: AgentState): Window | null {
    const from = (agent.started ?? 0) - (this.session.store.run.started ?? 0);
    const length = Math.max(this.session.elapsed(agent) ?? 0, 0.01);
    const [a, b] = this.#whole;
    return between(
      this.#whole,
      (from - length * 0.05 - a) / (b - a),
      (from + length * 1.05 - a) / (b - a),
      this.#whole,
    );
  }

  #onWheel(event: WheelEvent): void {
    const { choices } = this.session;
    if (choices.tab !== "timeline") return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const box = this.element.getBoundingClientRect();
      const share = box.width === 0 ? 0.5 : Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
      const centre = this.#window[0] + share * (this.#window[1] - this.#window[0]);
      this.zoom(Math.exp(event.deltaY * 0.004), centre);
    } else if (choices.zoom && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const seconds = (event.deltaX / this.#width) * (this.#window[1] - this.#window[0]);
      this.#pan(seconds);
    }
  }

  /** The path costs a sort of all siblings: once in two seconds is often enough while it runs. */
  #findPath(): void {
    const { store } = this.session;
    const now = this.session.now();
    const { structure, at, status } = this.#computed;
    const fresh = Math.abs(now - at) < 2;
    if (fresh && status === store.run.status && (status === "running" || structure === store.structure))
      return;
    this.#computed = { structure: store.structure, at: now, status: store.run.status };
    this.#critical = criticalPath(store, now);
    this.#version += 1;
  }

  #share(at: number): number {
    return (at - this.#window[0]) / (this.#window[1] - this.#window[0]);
  }

  #setLeft(element: HTMLElement, at: number): void {
    const left = percents(this.#share(at));
    if (element.style.left !== left) element.style.left = left;
  }

  #draw(track: HTMLElement, bars: readonly Bar[], critical: readonly Window[]): void {
    const [from, to] = this.#window;
    const marks = critical
      .filter((each) => each[1] > from && each[0] < to)
      .map((each) => ({ kind: "path", from: each[0], to: each[1] }));
    keyed(
      track,
      [...bars, ...marks],
      (_, at) => String(at),
      () => h("i"),
      (element, bar) => {
        const piece = element as HTMLElement;
        const [start, end] = [Math.max(bar.from, from), Math.min(bar.to, to)];
        this.#setLeft(piece, start);
        const width = percents(this.#share(end) - this.#share(start));
        if (piece.style.width !== width) piece.style.width = width;
        attribute(piece, "class", `rlm-bar rlm-bar-${bar.kind}`);
        const word = WORDS[bar.kind as Bar["kind"]] ?? "critical path";
        attribute(piece, "title", `${word} ${duration(bar.to - bar.from)}, from ${duration(bar.from)}`);
      },
    );
  }
}
