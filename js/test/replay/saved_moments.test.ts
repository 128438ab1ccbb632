import { expect, it } from "vitest";
import { patched } from "../../src/replay/delta";
import { SavedMoments, type SavedReplay } from "../../src/replay/saved_moments";
import { positionAt, secondsAt, timeAt } from "../../src/replay/timing";
import type { Point, Run } from "../../src/state/protocol";
import { RUN } from "../helpers";

/** A run of `count` events: an agent starts with each tenth one, and all of them count. */
function replayOf(count: number): SavedReplay {
  const frames: SavedReplay["frames"] = [{ at: 0, run: RUN as Partial<Run>, agents: {} }];
  const places: SavedReplay["places"] = [];
  const details: SavedReplay["details"] = {};
  for (let at = 1; at <= count; at += 1) {
    const id = `0.${Math.ceil(at / 10)}`;
    if (at % 10 === 1) {
      places.push([at, id, 0]);
      details[id] = [[at, [{ question: id, turns: [] }]]];
    } else if (at % 10 === 5) {
      places.push([at, id, 1]);
      details[id]?.push([at, { k: { turns: { k: { "0": [{ turn: 1 }] }, n: 1 } } }]);
    }
    const row = at % 10 === 1 ? { id, parent: "0", question: id, rev: at } : { turns: at % 10, rev: at };
    frames.push({ at, run: { calls: at }, agents: { [id]: row } });
  }
  const points: Point[] = Array.from({ length: count + 1 }, (_, at) => [at, at / 2, at]);
  const outline = { events: count, points, marks: [] };
  return { outline, places, frames, details, prompts: {}, until: {} };
}

it("shows at any moment what the changes up to it make", () => {
  const saved = replayOf(400);
  const moments = new SavedMoments(saved, "all");
  expect(moments.position).toBe(400);
  for (const position of [0, 400, 1, 63, 64, 65, 64, 63, 10, 399, 200, 201, 3]) {
    moments.seek({ position });
    expect(moments.position).toBe(position);
    expect(moments.run.calls).toBe(position);
    expect(moments.agents.size).toBe(Math.ceil(position / 10));
    const last = moments.agents.get(`0.${Math.ceil(position / 10)}`);
    if (position > 0) expect(last?.rev).toBe(position);
  }
});

it("keeps the moments it has shown as they were", () => {
  const moments = new SavedMoments(replayOf(200), "all");
  moments.seek({ position: 65 });
  const row = moments.agents.get("0.7");
  const before = JSON.stringify(row);
  moments.seek({ position: 200 });
  moments.seek({ position: 0 });
  expect(JSON.stringify(row)).toBe(before);
});

it("steps by event, turn and agent, and goes to a place", () => {
  const moments = new SavedMoments(replayOf(40), "all");
  const go = (wanted: Parameters<SavedMoments["seek"]>[0]) => {
    moments.seek(wanted);
    return moments.position;
  };
  expect(go({ position: 12, step: "event" })).toBe(13);
  expect(go({ step: "event", back: true })).toBe(12);
  expect(go({ step: "turn" })).toBe(15);
  expect(go({ step: "turn", back: true })).toBe(5);
  expect(go({ step: "agent" })).toBe(11);
  expect(go({ step: "agent", back: true })).toBe(1);
  expect(go({ step: "agent", back: true })).toBe(0);
  expect(go({ place: "Agent 0.3, turn 1" })).toBe(25);
  expect(go({ place: "agent 0.4" })).toBe(31);
  expect(go({ place: "event 7" })).toBe(7);
  expect(go({ position: 1e12, step: "agent" })).toBe(40);
  expect(() => go({ place: "agent 0.99" })).toThrow("has no");
  expect(() => go({ place: "<b>" })).toThrow("not a place");
  expect(moments.position).toBe(40);
});

it("shows the page of an agent as it was, and none where it is not in the file", () => {
  const saved = replayOf(40);
  saved.until = { "0.3": 25 };
  const moments = new SavedMoments(saved, "all");
  moments.seek({ position: 14 });
  expect(moments.detail("0.2")).toEqual({ question: "0.2", turns: [] });
  moments.seek({ position: 15 });
  expect(moments.detail("0.2")).toEqual({ question: "0.2", turns: [{ turn: 1 }] });
  expect(moments.detail("0.3")).toBeUndefined();
  moments.seek({ position: 22 });
  expect(moments.detail("0.3")).toEqual({ question: "0.3", turns: [] });
  moments.seek({ position: 25 });
  expect(moments.detail("0.3")).toBeUndefined();
  expect(moments.detail("constructor")).toBeUndefined();
});

it("has several events in a moment where the file has fewer moments than the run events", () => {
  const saved = replayOf(40);
  saved.frames = saved.frames.filter(({ at }) => at % 8 === 0);
  const moments = new SavedMoments(saved, "all");
  moments.seek({ position: 9 });
  expect(moments.position).toBe(16);
  moments.seek({ step: "event" });
  expect(moments.position).toBe(24);
  moments.seek({ step: "turn" });
  expect(moments.position).toBe(32);
});

it("puts documents together from their changes", () => {
  expect(patched(undefined, [{ a: 1 }])).toEqual({ a: 1 });
  expect(patched({ a: 1, b: 2 }, { k: { a: [3] }, x: ["b"] })).toEqual({ a: 3 });
  expect(patched([1, 2, 3], { k: { "0": [9] }, n: 2 })).toEqual([9, 2]);
  expect(patched([1], { k: { "1": [{ x: 1 }] }, n: 2 })).toEqual([1, { x: 1 }]);
  const old = { list: [{ text: "a" }, { text: "b" }] };
  expect(patched(old, { k: { list: { k: { "1": { k: { text: ["c"] } } }, n: 2 } } })).toEqual({
    list: [{ text: "a" }, { text: "c" }],
  });
  expect(old.list[1]).toEqual({ text: "b" });
  const hostile = patched({}, { k: { ["__proto__"]: [{ polluted: 1 }] } }) as Record<string, unknown>;
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(Object.keys(hostile)).toEqual(["__proto__"]);
});

it("knows which moment it is at which time, between its points too", () => {
  const points: Point[] = [
    [0, 0, 0],
    [1, 0, 0],
    [2, 0.5, 0.5],
    [12, 5.5, 3600],
  ];
  expect(positionAt(points, 0)).toBe(1);
  expect(positionAt(points, 0.49)).toBe(1);
  expect(positionAt(points, 0.5)).toBe(2);
  expect(positionAt(points, 3)).toBe(7);
  expect(positionAt(points, 99)).toBe(12);
  expect(timeAt(points, 7)).toBe(3);
  expect(secondsAt(points, 12)).toBe(3600);
  for (let at = 1; at <= 12; at += 1) expect(positionAt(points, timeAt(points, at))).toBe(at);
  expect(positionAt([], 3)).toBe(0);
});
