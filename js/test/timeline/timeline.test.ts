import { describe, expect, it } from "vitest";
import type { Agent } from "../../src/state/protocol";
import { Store } from "../../src/state/run_store";
import {
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
} from "../../src/timeline/timeline";
import { agent, RUN, rows } from "../helpers";

it("the scale of a live run grows in steps, that of an ended one fits", () => {
  expect([domain(1, true)[1], domain(4.9, true)[1], domain(6, true)[1], domain(14, true)[1]]).toEqual([
    5, 5, 10, 15,
  ]);
  expect(domain(20, false)[1]).toBeCloseTo(20.2);
  expect(domain(0, false)[1]).toBeGreaterThan(0);
});

describe("a lane", () => {
  it("is what the agent did", () => {
    const made = agent("0.1", {
      spans: [
        ["model", 1001, 1003],
        ["code", 1003, null],
      ],
      status: "running",
    });
    expect(lane(made as Agent, 1000, 1005)).toEqual([
      { kind: "wait", from: 0, to: 5 },
      { kind: "model", from: 1, to: 3 },
      { kind: "code", from: 3, to: 5 },
    ]);
  });

  it("without spans is one bar, and without a start none", () => {
    const done = agent("0.1", { status: "done", started: 1002, elapsed: 3, spans: null });
    expect(lane(done as Agent, 1000, 1009)).toEqual([{ kind: "life", from: 2, to: 5 }]);
    expect(lane({ ...done, started: null } as Agent, 1000, 1009)).toEqual([]);
  });

  it("of code that waits for sub-agents shows the wait", () => {
    const store = new Store();
    const kid = (id: string, started: number) => agent(id, { status: "done", started, elapsed: 2 });
    const parent = agent("0", { spans: [["code", 1001, 1009]], started: 1000, status: "done", elapsed: 9 });
    const kids = [kid("0.1", 1002), kid("0.2", 1003), kid("0.3", 1006), agent("0.4", { started: null })];
    store.apply({ kind: "snapshot", seq: 1, run: RUN, agents: rows(parent, ...kids) });
    const busy = below(store, "0", 1010);
    expect(busy).toEqual([
      [2, 5],
      [6, 8],
    ]);
    expect(lane(parent as Agent, 1000, 1010, busy).map((bar) => [bar.kind, bar.from, bar.to])).toEqual([
      ["wait", 0, 9],
      ["code", 1, 2],
      ["code", 5, 6],
      ["code", 8, 9],
    ]);
  });

  it("joins what no eye can tell apart and drops what is out of sight", () => {
    const bars = [
      { kind: "model", from: 0, to: 1 },
      { kind: "model", from: 1.001, to: 2 },
      { kind: "code", from: 2, to: 3 },
      { kind: "code", from: 90, to: 91 },
    ] as const;
    expect(visible(bars, [0, 10], 100)).toEqual([
      { kind: "model", from: 0, to: 2 },
      { kind: "code", from: 2, to: 3 },
    ]);
    expect(bars[0].to).toBe(1);
  });
});

it("ticks are round moments", () => {
  expect(ticks([0, 15], 3)).toEqual([0, 5, 10, 15]);
  expect(ticks([0.3, 0.9], 4)).toEqual([0.4, 0.6, 0.8]);
  expect(ticks([0, 36_000], 5)).toEqual([0, 7200, 14_400, 21_600, 28_800, 36_000]);
});

it("zoom keeps the moment under the pointer and stays inside", () => {
  const whole: Window = [0, 100];
  expect(zoomBy(whole, 0.5, 20, whole)).toEqual([10, 60]);
  expect(zoomBy([10, 60], 4, 20, whole)).toBeNull();
  expect(zoomBy([80, 100], 0.5, 100, whole)).toEqual([90, 100]);
  expect(panBy([10, 60], 70, whole)).toEqual([50, 100]);
  expect(panBy([10, 60], -70, whole)).toEqual([0, 50]);
});

it("what was dragged over is zoomed to, in any direction, inside the run", () => {
  expect(between([0, 100], 0.2, 0.5, [0, 100])).toEqual([20, 50]);
  expect(between([20, 40], 0.5, -3, [0, 100])).toEqual([20, 30]);
  const [from, to] = between([0, 100], 1, 1, [0, 100]);
  expect([to <= 100, to - from]).toEqual([true, expect.closeTo(0.01)]);
});

describe("the critical path", () => {
  function path(agents: Partial<Agent>[], now = 1010): Record<string, Window[]> {
    const store = new Store();
    store.apply({ kind: "snapshot", seq: 1, run: RUN, agents: rows(...agents) });
    return Object.fromEntries(criticalPath(store, now));
  }
  const done = (id: string, started: number, elapsed: number) =>
    agent(id, { status: "done", started, elapsed });

  it("goes through the sub-agent that ended last", () => {
    expect(path([done("0", 1000, 10), done("0.1", 1002, 3), done("0.2", 1002, 6)])).toEqual({
      "0": [
        [8, 10],
        [0, 2],
      ],
      "0.2": [[2, 8]],
    });
  });

  it("follows batches one after the other, and down", () => {
    const found = path([
      done("0", 1000, 10),
      done("0.1", 1001, 3),
      done("0.2", 1005, 4),
      done("0.2.1", 1006, 2),
    ]);
    expect(found).toEqual({
      "0": [
        [9, 10],
        [4, 5],
        [0, 1],
      ],
      "0.1": [[1, 4]],
      "0.2": [
        [8, 9],
        [5, 6],
      ],
      "0.2.1": [[6, 8]],
    });
  });

  it("of a live run ends now", () => {
    const found = path([agent("0", { started: 1000 }), agent("0.1", { started: 1004 })], 1007);
    expect(found).toEqual({ "0": [[0, 4]], "0.1": [[4, 7]] });
  });
});
