/** What the timeline draws: lanes, ticks, zoom and the critical path, in seconds since the run began. Pure. */

import type { Agent, SpanKind } from "../state/protocol";
import type { Store } from "../state/run_store";

export interface Bar {
  /** `life`: it lived, nothing is known of what it did. */
  kind: SpanKind | "life";
  from: number;
  to: number;
}

export type Window = readonly [from: number, to: number];

/** The time scale of a whole run. It grows in steps, so that bars do not shrink under the reader's eyes. */
export function domain(elapsed: number, running: boolean): Window {
  const total = Math.max(elapsed, 0.001);
  if (!running) return [0, total * 1.01];
  let step = 5;
  for (let at = 0; step < total; at += 1) step *= at % 2 === 0 ? 2 : 1.5;
  return [0, step];
}

/** When at least one of an agent's sub-agents was at work. */
export function below(store: Store, id: string, now: number): Window[] {
  const origin = store.run.started ?? 0;
  const busy: [number, number][] = [];
  for (const kid of store.children(id)) {
    const agent = store.agents.get(kid) as Agent;
    if (agent.started === null) continue;
    const from = agent.started - origin;
    const to = agent.status === "running" ? now - origin : from + (agent.elapsed ?? 0);
    const last = busy[busy.length - 1];
    // Siblings come in the order in which they were asked; a small disorder only joins stretches.
    if (last && from <= last[1]) {
      last[0] = Math.min(last[0], from);
      last[1] = Math.max(last[1], to);
    } else busy.push([from, to]);
  }
  return busy;
}

/** The bars of one agent's lane. Code that waits for sub-agents (`busy`) does not work: it waits. */
export function lane(agent: Agent, origin: number, now: number, busy: readonly Window[] = []): Bar[] {
  const end = agent.status === "running" ? now : (agent.started ?? origin) + (agent.elapsed ?? 0);
  if (agent.spans && agent.spans.length > 0) {
    const bars = agent.spans.map(([kind, from, to]) => ({
      kind,
      from: from - origin,
      to: (to ?? end) - origin,
    }));
    // Between what it did it waited: one line under all bars.
    const born = (agent.started ?? origin) - origin;
    const work = bars.flatMap((bar) => (bar.kind === "code" ? without(bar, busy) : [bar]));
    return [{ kind: "wait", from: born, to: Math.max(end - origin, born) }, ...work];
  }
  if (agent.started === null) return [];
  return [{ kind: "life", from: agent.started - origin, to: Math.max(end, agent.started) - origin }];
}

function without(bar: Bar, busy: readonly Window[]): Bar[] {
  const left: Bar[] = [];
  let { from } = bar;
  for (const [start, end] of busy) {
    if (end <= from || start >= bar.to) continue;
    if (start > from) left.push({ ...bar, from, to: start });
    from = Math.max(from, end);
  }
  if (from < bar.to) left.push({ ...bar, from });
  return left;
}

/** Joins bars of one kind that no eye could tell apart, and drops what lies outside. */
export function visible(bars: readonly Bar[], [from, to]: Window, pixels: number): Bar[] {
  const grain = (to - from) / Math.max(pixels, 1);
  const kept: Bar[] = [];
  for (const bar of bars) {
    if (bar.to < from || bar.from > to) continue;
    const last = kept[kept.length - 1];
    if (last && last.kind === bar.kind && bar.from - last.to < grain * 1.5)
      last.to = Math.max(last.to, bar.to);
    else kept.push({ ...bar });
  }
  return kept;
}

/** About `count` round moments inside a window. */
export function ticks([from, to]: Window, count: number): number[] {
  const raw = (to - from) / Math.max(count, 1);
  const steps = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600,
  ];
  const step = steps.find((each) => each >= raw) ?? Math.ceil(raw / 3600) * 3600;
  const found: number[] = [];
  for (let at = Math.ceil(from / step - 1e-9) * step; at <= to; at += step) found.push(Number(at.toFixed(6)));
  return found;
}

/** Zooms by a factor about a moment, inside the whole; `null`: all of it. */
export function zoomBy(window: Window, factor: number, centre: number, whole: Window): Window | null {
  const length = Math.max((window[1] - window[0]) * factor, 0.01);
  if (length >= whole[1] - whole[0]) return null;
  const share = (centre - window[0]) / (window[1] - window[0]);
  return inside(centre - share * length, length, whole);
}

/** The stretch between two points of a window (shares of it, in any order): what was dragged over. */
export function between([from, to]: Window, a: number, b: number, whole: Window): Window {
  const at = (share: number) => from + Math.min(Math.max(share, 0), 1) * (to - from);
  return inside(at(Math.min(a, b)), Math.max(at(Math.max(a, b)) - at(Math.min(a, b)), 0.01), whole);
}

export function panBy(window: Window, seconds: number, whole: Window): Window {
  return inside(window[0] + seconds, window[1] - window[0], whole);
}

function inside(from: number, length: number, whole: Window): Window {
  const start = Math.min(Math.max(from, whole[0]), whole[1] - length);
  return [start, start + length];
}

/** Clocks of a parent and its sub-agents may differ by that much. */
const TOLERANCE = 0.05;

/**
 * The critical path: the chain of stretches that the run's end waited for. Going back from the end of an agent,
 * the sub-agent that ended last is what it waited for; before that one began, the same again.
 */
export function criticalPath(store: Store, now: number): Map<string, Window[]> {
  const path = new Map<string, Window[]>();
  const origin = store.run.started ?? 0;
  const span = (agent: Agent): Window => {
    const from = (agent.started ?? origin) - origin;
    return [from, agent.status === "running" ? now - origin : from + (agent.elapsed ?? 0)];
  };
  const mark = (id: string, from: number, to: number) => {
    if (to - from <= 0) return;
    const windows = path.get(id);
    if (windows) windows.push([from, to]);
    else path.set(id, [[from, to]]);
  };
  const open: { agent: Agent; until: number }[] = [];
  for (const id of store.children(null)) {
    const agent = store.agents.get(id) as Agent;
    open.push({ agent, until: span(agent)[1] });
  }
  for (let item = open.pop(); item; item = open.pop()) {
    const { agent } = item;
    const [from] = span(agent);
    let until = item.until;
    const kids = store
      .children(agent.id)
      .map((id) => store.agents.get(id) as Agent)
      .filter((kid) => kid.started !== null)
      .map((kid) => [...span(kid), kid] as const)
      .sort((a, b) => b[1] - a[1]);
    for (const [kidFrom, kidTo, kid] of kids) {
      if (kidTo > until + TOLERANCE || kidFrom >= until) continue;
      const end = Math.min(kidTo, until);
      mark(agent.id, end, until);
      open.push({ agent: kid, until: end });
      until = kidFrom;
      if (until <= from) break;
    }
    mark(agent.id, from, until);
  }
  return path;
}
