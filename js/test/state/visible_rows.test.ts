import { describe, expect, it } from "vitest";
import type { Agent } from "../../src/state/protocol";
import { Store } from "../../src/state/run_store";
import {
  countWords,
  doingWords,
  Folds,
  flatten,
  GROUP_FROM,
  groupKey,
  parentIndex,
  shares,
  shortState,
  stateOf,
  stateWords,
} from "../../src/state/visible_rows";
import { agent, ids, RUN, rows } from "../helpers";

function store(...names: string[]): Store {
  const made = new Store();
  made.apply({ kind: "snapshot", seq: 1, run: RUN, agents: rows(...names.map((id) => agent(id))) });
  return made;
}

const keys = (made: Store, folds = new Folds()) => flatten(made, folds).map((row) => row.key);

describe("the rows", () => {
  it("list the open tree depth first with level, set size and place", () => {
    const made = store("0", "0.1", "0.1.1", "0.2");
    expect(flatten(made, new Folds()).map((row) => [row.key, row.level, row.posinset, row.setsize])).toEqual([
      ["0", 1, 1, 1],
      ["0.1", 2, 1, 2],
      ["0.1.1", 3, 1, 1],
      ["0.2", 2, 2, 2],
    ]);
  });

  it("say what can be opened", () => {
    const folds = new Folds();
    folds.set("0.1", false);
    const rows = flatten(store("0", "0.1", "0.1.1", "0.2"), folds);
    expect(rows.map((row) => [row.key, row.expanded])).toEqual([
      ["0", true],
      ["0.1", false],
      ["0.2", null],
    ]);
  });

  it("carry guide lines on past agents with further siblings only", () => {
    const rows = flatten(store("0", "0.1", "0.1.1", "0.2", "0.2.1"), new Folds());
    const guide = (key: string, level: number) =>
      ((rows.find((row) => row.key === key)?.guides ?? 0) >> level) & 1;
    expect([guide("0.1.1", 1), guide("0.2.1", 1)]).toEqual([1, 0]);
    expect([guide("0.1", 1), guide("0.2", 1)]).toEqual([1, 0]);
  });

  it("know the row one step out", () => {
    const rows = flatten(store("0", "0.1", "0.1.1", "0.2"), new Folds());
    expect([0, 1, 2, 3].map((at) => parentIndex(rows, at))).toEqual([-1, 0, 1, 0]);
  });
});

describe("a wide batch", () => {
  const wide = () => store("0", ...ids("0", GROUP_FROM + 1));

  it("is one closed row", () => {
    expect(keys(wide())).toEqual(["0", "0/*"]);
    expect(keys(store("0", ...ids("0", GROUP_FROM)))).toHaveLength(GROUP_FROM + 1);
  });

  it("opens to its agents, one level further in", () => {
    const folds = new Folds();
    folds.set(groupKey("0"), true);
    const rows = flatten(wide(), folds);
    expect(rows).toHaveLength(GROUP_FROM + 3);
    expect(rows[1]).toMatchObject({ group: true, level: 2, setsize: 1, expanded: true });
    expect(rows[2]).toMatchObject({ key: "0.1", level: 3, posinset: 1, setsize: GROUP_FROM + 1 });
  });

  it("opens when an agent in it is revealed", () => {
    const folds = new Folds();
    folds.set("0", false);
    const made = wide();
    folds.reveal(made, "0.7");
    expect(keys(made, folds)).toContain("0.7");
  });

  it("lists ten thousand agents", () => {
    const folds = new Folds();
    folds.set(groupKey("0"), true);
    const rows = flatten(store("0", ...ids("0", 10_000)), folds);
    expect(rows).toHaveLength(10_002);
    expect(rows.at(-1)).toMatchObject({ key: "0.10000", posinset: 10_000, setsize: 10_000 });
  });
});

it("folds remember both ways and count changes", () => {
  const folds = new Folds();
  expect([folds.isOpen("0"), folds.isOpen("0/*")]).toEqual([true, false]);
  folds.set("0", true);
  expect(folds.version).toBe(0);
  folds.set("0", false);
  folds.set("0/*", true);
  expect([folds.isOpen("0"), folds.isOpen("0/*"), folds.version]).toEqual([false, true, 2]);
});

describe("words and sums", () => {
  it.each([
    [{ status: "running", activity: "code" }, "code", "running code", "runs code"],
    [{ status: "running", activity: "children" }, "children", "waiting for sub-agents", "sub-agents"],
    [{ status: "running", activity: "" }, "running", "running", "running"],
    [{ status: "limit", activity: "model" }, "limit", "out of budget", "over budget"],
    [{ status: "done", activity: "" }, "done", "done", "done"],
  ] as const)("the state of %o is %s", (fields, state, words, short) => {
    const found = stateOf(fields as unknown as Agent);
    expect([found, stateWords(found), shortState(found)]).toEqual([state, words, short]);
  });

  it("counts read as a sentence and are shares of one", () => {
    const counts = { done: 1200, running: 5, failed: 2, stopped: 0, limit: 0 };
    expect(countWords(counts)).toBe("1,200 done · 5 running · 2 failed");
    expect(shares({ done: 3, running: 1, failed: 0, stopped: 0, limit: 0 })).toEqual([
      ["done", 0.75],
      ["running", 0.25],
      ["failed", 0],
      ["limit", 0],
      ["stopped", 0],
    ]);
    expect(shares({ done: 0, running: 0, failed: 0, stopped: 0, limit: 0 })).toEqual([]);
  });
});

it("a prompt that is read is told with how long that takes, as long as the agent runs", () => {
  const wait = "reading about 1,700 tokens: about 68 s at 25 a second";
  const reading = { status: "running", activity: "reading", wait } as const;
  expect(doingWords(agent("0", reading) as Agent)).toBe(wait);
  expect(doingWords(agent("0", { ...reading, wait: null }) as Agent)).toBe("reading the prompt");
  expect(doingWords(agent("0", { ...reading, status: "stopped" }) as Agent)).toBe("stopped");
});

it("each reason to wait has its words, and one that this page does not know has its own name", () => {
  const waits = [
    "rate_limit",
    "server_error",
    "connection",
    "bad_reply",
    "provider",
    "budget",
    "concurrency",
    "reading",
  ];
  for (const reason of [...waits, "kernel", "step", "reply"]) {
    const state = stateOf(agent("0", { activity: reason as Agent["activity"] }) as Agent);
    expect(stateWords(state)).not.toContain("_");
    expect(shortState(state).length).toBeLessThan(14);
  }
  expect([stateWords("solar_storm" as never), shortState("solar_storm" as never)]).toEqual([
    "solar storm",
    "solar storm",
  ]);
});

describe("branches", () => {
  const branched = (...names: string[]) => {
    const made = new Store();
    const row = agent("0~1", { parent: "0", branch: "b" });
    const below = agent("0~1.1", { parent: "0~1", branch: "b" });
    made.apply({
      kind: "snapshot",
      seq: 1,
      run: RUN,
      agents: rows(agent("0"), ...names.map((id) => agent(id)), row, below),
    });
    return made;
  };

  it("stand before the sub-agents of the agent that they leave", () => {
    const rows = flatten(branched("0.1"), new Folds());
    expect(rows.map((row) => [row.key, row.level, row.posinset, row.setsize])).toEqual([
      ["0", 1, 1, 1],
      ["0~1", 2, 1, 2],
      ["0~1.1", 3, 1, 1],
      ["0.1", 2, 2, 2],
    ]);
    expect(keys(branched())).toEqual(["0", "0~1", "0~1.1"]);
  });

  it("stand outside of a group of many sub-agents, and are revealed without it", () => {
    const made = branched(...ids("0", GROUP_FROM + 1));
    const folds = new Folds();
    folds.set("0", false);
    folds.reveal(made, "0~1.1");
    expect(keys(made, folds)).toEqual(["0", "0~1", "0~1.1", "0/*"]);
    expect(folds.isOpen(groupKey("0"))).toBe(false);
  });
});
