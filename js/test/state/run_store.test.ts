import { describe, expect, it } from "vitest";
import type { Agent } from "../../src/state/protocol";
import { Store } from "../../src/state/run_store";
import { agent, ids, RUN, rows } from "../helpers";

function filled(...agents: ReturnType<typeof agent>[]): Store {
  const store = new Store();
  store.apply({ kind: "snapshot", seq: 5, run: RUN, agents: rows(...agents) });
  return store;
}

describe("a snapshot", () => {
  it("fills the state, with defaults for what is not said", () => {
    const store = filled(agent("0"), agent("0.1", { status: "done" }));
    expect(store.seq).toBe(5);
    expect(store.run).toMatchObject({ id: "r1", clicks: true, notices: [], cost: null });
    expect(store.agents.get("0.1")).toMatchObject({ status: "done", turns: 0, error: null });
    expect(store.children("0")).toEqual(["0.1"]);
    expect(store.children(null)).toEqual(["0"]);
  });

  it("replaces what was there", () => {
    const store = filled(agent("0"), agent("0.1"));
    expect(
      store.apply({ kind: "snapshot", seq: 9, run: { ...RUN, cost: 2 }, agents: rows(agent("0")) }),
    ).toBe("applied");
    expect([...store.agents.keys()]).toEqual(["0"]);
    expect(store.children("0")).toEqual([]);
    expect(store.run.cost).toBe(2);
  });

  it.each([4, 5])("of the same run that is not newer (seq %i) changes nothing", (seq) => {
    const store = filled(agent("0"), agent("0.1"));
    expect(store.apply({ kind: "snapshot", seq, run: RUN, agents: {} })).toBe("stale");
    expect(store.agents.size).toBe(2);
  });

  it("of another run is taken whatever its number", () => {
    const store = filled(agent("0"), agent("0.1"));
    expect(store.apply({ kind: "snapshot", seq: 1, run: { id: "r2" }, agents: rows(agent("0")) })).toBe(
      "applied",
    );
    expect(store.run.id).toBe("r2");
    expect(store.agents.size).toBe(1);
  });

  it("in parts is taken when the last part is here", () => {
    const store = new Store();
    const part = (at: number, id: string) =>
      store.apply({ kind: "snapshot", seq: 3, part: at, parts: 3, run: RUN, agents: rows(agent(id)) });
    expect([part(0, "0"), part(1, "0.1")]).toEqual(["partial", "partial"]);
    expect(store.agents.size).toBe(0);
    expect(part(2, "0.2")).toBe("applied");
    expect(store.children("0")).toEqual(["0.1", "0.2"]);
  });

  it("in parts of which one is lost is a gap", () => {
    const store = new Store();
    const part = (at: number) =>
      store.apply({ kind: "snapshot", seq: 3, part: at, parts: 3, run: RUN, agents: {} });
    expect([part(0), part(2), part(1)]).toEqual(["partial", "gap", "stale"]);
    expect(store.seq).toBe(-1);
  });
});

it("a snapshot in parts that another page asked for changes nothing and is not a gap", () => {
  const store = filled(agent("0"), agent("0.1"));
  const outcomes = [0, 1, 2].map((part) =>
    store.apply({ kind: "snapshot", seq: 5, part, parts: 3, run: part === 0 ? RUN : {}, agents: {} }),
  );
  expect(outcomes).toEqual(["stale", "stale", "stale"]);
  expect(store.agents.size).toBe(2);
});

it("the end of a snapshot that began before this page was there is left alone", () => {
  expect(new Store().apply({ kind: "snapshot", seq: 5, part: 7, parts: 9, run: {}, agents: {} })).toBe(
    "stale",
  );
});

describe("a patch", () => {
  it("changes the named fields and adds new agents", () => {
    const store = filled(agent("0", { turns: 1 }));
    const agents = { "0": { turns: 2 }, "0.1": agent("0.1") };
    expect(store.apply({ kind: "patch", seq: 6, run: { cost: 0.5 }, agents })).toBe("applied");
    expect(store.agents.get("0")).toMatchObject({ turns: 2, question: "question of 0" });
    expect(store.children("0")).toEqual(["0.1"]);
    expect(store.run).toMatchObject({ cost: 0.5, question: "Which supplier?" });
  });

  it("that is known already is ignored", () => {
    const store = filled(agent("0"));
    expect(store.apply({ kind: "patch", seq: 5, run: { cost: 9 } })).toBe("stale");
    expect(store.run.cost).toBeNull();
  });

  it("after a lost one is a gap and changes nothing", () => {
    const store = filled(agent("0"));
    expect(store.apply({ kind: "patch", seq: 7, run: { cost: 9 } })).toBe("gap");
    expect(store.run.cost).toBeNull();
    expect(store.seq).toBe(5);
  });

  it("before any snapshot is a gap", () => {
    expect(new Store().apply({ kind: "patch", seq: 1 })).toBe("gap");
  });

  it("never moves an agent to another place", () => {
    const store = filled(agent("0"), agent("0.1"), agent("0.2"));
    store.apply({ kind: "patch", seq: 6, agents: { "0.2": { parent: "0.1", id: "0.9", turns: 4 } } });
    expect(store.agents.get("0.2")).toMatchObject({ id: "0.2", parent: "0", turns: 4 });
    expect(store.children("0")).toEqual(["0.1", "0.2"]);
  });

  it("raises `structure` only when agents appear", () => {
    const store = filled(agent("0"));
    const before = store.structure;
    store.apply({ kind: "patch", seq: 6, agents: { "0": { status: "done" } } });
    expect(store.structure).toBe(before);
    store.apply({ kind: "patch", seq: 7, agents: { "0.1": agent("0.1") } });
    expect(store.structure).toBeGreaterThan(before);
  });
});

describe("siblings", () => {
  it("stand in the order of their numbers, in whatever order they come", () => {
    const store = filled(agent("0"), agent("0.10"), agent("0.2"), agent("0.1"));
    store.apply({ kind: "patch", seq: 6, agents: rows(agent("0.3")) });
    expect(store.children("0")).toEqual(["0.1", "0.2", "0.3", "0.10"]);
  });

  it("wait for a parent that is not here yet", () => {
    const store = filled(agent("0"), agent("0.1.1"));
    expect(store.children("0")).toEqual([]);
    store.apply({ kind: "patch", seq: 6, agents: rows(agent("0.1")) });
    expect(store.children("0.1")).toEqual(["0.1.1"]);
  });

  it("are counted by state, also as states change", () => {
    const store = filled(agent("0"), ...ids("0", 4).map((id) => agent(id)));
    expect(store.statuses("0").running).toBe(4);
    store.apply({
      kind: "patch",
      seq: 6,
      agents: { "0.1": { status: "done" }, "0.2": { status: "failed" } },
    });
    expect(store.statuses("0")).toMatchObject({ running: 2, done: 1, failed: 1 });
    expect(store.statuses("0.1")).toMatchObject({ running: 0, done: 0 });
  });
});

describe("failures", () => {
  it("are counted on the path up to the root, as they come and go", () => {
    const store = filled(agent("0"), agent("0.1"), agent("0.1.1"), agent("0.2", { status: "failed" }));
    expect([store.failures("0"), store.failures("0.1"), store.failures("0.2")]).toEqual([1, 0, 0]);
    store.apply({
      kind: "patch",
      seq: 6,
      agents: { "0.1.1": { status: "failed" }, "0.1": { status: "failed" } },
    });
    expect([store.failures("0"), store.failures("0.1")]).toEqual([3, 1]);
    expect(store.failed("0", 9).map(({ id }) => id)).toEqual(["0.1", "0.2", "0.1.1"]);
    expect(store.failed("0", 1).map(({ id }) => id)).toEqual(["0.1"]);
    store.apply({ kind: "patch", seq: 7, agents: { "0.1.1": { status: "running" } } });
    expect([store.failures("0"), store.failures("0.1")]).toEqual([2, 0]);
  });

  it("of sub-agents that came before their parent are not lost", () => {
    const store = filled(agent("0"), agent("0.1.1", { status: "failed" }));
    expect(store.failures("0")).toBe(0);
    store.apply({ kind: "patch", seq: 6, agents: rows(agent("0.1")) });
    expect([store.failures("0.1"), store.failures("0")]).toEqual([1, 1]);
  });

  it("end where data is a circle", () => {
    const store = filled(agent("0", { parent: "0.1" }), agent("0.1", { status: "failed" }));
    expect(store.failures("0")).toBeGreaterThan(0);
  });
});

it("keeps its sums right through any story", () => {
  // A generator of its own, so that each run of the test is the same.
  let seed = 7;
  const dice = (sides: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * sides);
  };
  const statuses = ["running", "done", "failed", "stopped", "limit"] as const;
  const store = filled(agent("0"));
  const names = ["0"];
  const births = new Map<string, number>([["0", 0]]);
  for (let seq = 6; seq < 400; seq += 1) {
    const changed: Record<string, object> = {};
    for (let each = dice(4); each >= 0; each -= 1) {
      const id = names[dice(names.length)] as string;
      if (dice(2) === 0) {
        births.set(id, (births.get(id) ?? 0) + 1);
        const child = `${id}.${births.get(id)}`;
        names.push(child);
        births.set(child, 0);
        changed[child] = agent(child, { status: statuses[dice(5)] as "done" });
      } else changed[id] = { ...changed[id], status: statuses[dice(5)] };
    }
    expect(store.apply({ kind: "patch", seq, agents: changed })).toBe("applied");
  }
  const all = [...store.agents.values()];
  expect(all.length).toBe(names.length);
  for (const { id } of all) {
    const kids = all.filter((each) => each.parent === id);
    expect(store.children(id)).toHaveLength(kids.length);
    for (const status of statuses) {
      expect(store.statuses(id)[status]).toBe(kids.filter((each) => each.status === status).length);
    }
    const below = all.filter((each) => each.id.startsWith(`${id}.`) && each.status === "failed");
    expect(store.failures(id)).toBe(below.length);
    expect(new Set(store.failed(id, 1e6))).toEqual(new Set(below));
  }
});

it("gives the path from an agent to the root, also where data is a circle", () => {
  const store = filled(agent("0"), agent("0.1"), agent("0.1.2"));
  expect(store.path("0.1.2").map((each) => each.id)).toEqual(["0.1.2", "0.1", "0"]);
  const circle = filled(agent("0", { parent: "0.1" }), agent("0.1"));
  expect(circle.path("0.1")).toHaveLength(2);
});

describe("the sums of sub-agents", () => {
  const done = (id: string, fields: Partial<Agent>) => agent(id, { status: "done", ...fields });

  function store(...agents: Partial<Agent>[]): Store {
    const made = new Store();
    made.apply({ kind: "snapshot", seq: 1, run: RUN, agents: rows(agent("0"), ...agents) });
    return made;
  }

  it("know what is unknown, and what still runs", () => {
    const one = done("0.1", { cost_total: 0.25, turns: 2, input_tokens: 10, started: 1000, elapsed: 4 });
    const two = done("0.2", { cost: 0.5, turns: 1, output_tokens: 5, started: 1002, elapsed: 1 });
    const sums = { cost: 0.75, tokens: 15, turns: 3, started: 1000, ended: 1004 };
    expect(store(one, two).totals("0")).toEqual(sums);
    expect(store(one, agent("0.3")).totals("0")).toMatchObject({ cost: null, ended: null });
    expect(store().totals("0")).toEqual({ cost: 0, tokens: 0, turns: 0, started: null, ended: null });
  });

  it("are after a thousand changes what they are from the beginning", () => {
    const made = store();
    const known: Record<string, Partial<Agent>> = { "0": agent("0") };
    let random = 7;
    const upTo = (limit: number) => {
      random = (random * 48_271) % 2_147_483_647;
      return random % limit;
    };
    for (let seq = 2; seq < 1000; seq += 1) {
      const id = `0.${1 + upTo(20)}`;
      const status = (["running", "done", "failed"] as const)[upTo(3)] ?? "done";
      const change = { status, turns: upTo(9), cost_total: upTo(9) ? upTo(1000) / 1000 : null, cost: null };
      const fields = known[id] ? change : { ...agent(id), ...change };
      known[id] = { ...known[id], ...fields };
      made.apply({ kind: "patch", seq, agents: { [id]: fields } });
    }
    const fresh = store(...Object.values(known));
    expect(made.totals("0")).toEqual(fresh.totals("0"));
    expect(made.statuses("0")).toEqual(fresh.statuses("0"));
    expect(made.failures("0")).toBe(fresh.failures("0"));
    made.apply({
      kind: "patch",
      seq: 1000,
      agents: Object.fromEntries(Object.keys(known).map((id) => [id, { cost_total: 0 }])),
    });
    expect(made.totals("0").cost, "what rounding leaves is not money").toBe(0);
  });
});

describe("a patch of another moment of a replay", () => {
  it("takes agents out that have not begun, and brings them back as they were told last", () => {
    const store = filled(
      agent("0"),
      agent("0.1", { status: "done", cost_total: 2 }),
      agent("0.2", { cost_total: 1 }),
    );
    expect(store.apply({ kind: "patch", seq: 6, gone: ["0.1", "0.2"] })).toBe("applied");
    expect(store.children("0")).toEqual([]);
    expect(
      store.apply({ kind: "patch", seq: 7, back: ["0.1", "0.2"], agents: { "0.2": { status: "failed" } } }),
    ).toBe("applied");
    expect(store.children("0")).toEqual(["0.1", "0.2"]);
    expect(store.agents.get("0.1")).toMatchObject({ status: "done", cost_total: 2, stamp: 7 });
    expect(store.statuses("0")).toMatchObject({ done: 1, failed: 1 });
    expect(store.totals("0").cost).toBe(3);
    expect(store.failures("0")).toBe(1);
  });

  it("is a gap where it brings back what this page never had", () => {
    const store = filled(agent("0"));
    expect(store.apply({ kind: "patch", seq: 6, back: ["0.1"] })).toBe("gap");
    expect(store.seq).toBe(5);
  });

  it("tells an agent anew that went with the snapshot before", () => {
    const store = filled(agent("0"), agent("0.1", { status: "done" }));
    store.apply({ kind: "patch", seq: 6, gone: ["0.1"] });
    store.apply({ kind: "snapshot", seq: 9, run: RUN, agents: rows(agent("0")) });
    expect(store.apply({ kind: "patch", seq: 10, back: ["0.1"] })).toBe("gap");
    store.apply({ kind: "patch", seq: 10, agents: rows(agent("0.1")) });
    expect(store.agents.get("0.1")?.status).toBe(agent("0.1").status ?? "running");
  });
});

describe("a branch", () => {
  const branched = () =>
    filled(
      agent("0", { cost_total: 1 }),
      agent("0.1", { status: "done", cost_total: 1, input_tokens: 5 }),
      agent("0~1", { parent: "0", branch: "b", status: "running", cost_total: 7, input_tokens: 100 }),
      agent("0~1.1", { parent: "0~1", branch: "b", status: "running", cost_total: 3 }),
    );

  it("is no sub-agent, and in none of the sums of the run that it leaves", () => {
    const store = branched();
    expect(store.children("0")).toEqual(["0.1"]);
    expect(store.branches("0")).toEqual(["0~1"]);
    expect(store.children("0~1")).toEqual(["0~1.1"]);
    expect(store.statuses("0")).toMatchObject({ done: 1, running: 0 });
    expect(store.totals("0")).toMatchObject({ cost: 1, tokens: 5 });
    store.apply({ kind: "patch", seq: 6, agents: { "0~1": { status: "done", cost_total: 9 } } });
    expect(store.totals("0")).toMatchObject({ cost: 1, tokens: 5 });
    expect(store.statuses("0").done).toBe(1);
    expect(store.totals("0~1").cost).toBe(3);
  });

  it("fails by itself: the agents above it have not failed", () => {
    const store = branched();
    store.apply({ kind: "patch", seq: 6, agents: { "0~1.1": { status: "failed" } } });
    expect([store.failures("0~1"), store.failures("0")]).toEqual([1, 0]);
    store.apply({ kind: "patch", seq: 7, agents: { "0~1": { status: "failed" } } });
    expect(store.failures("0")).toBe(0);
    store.apply({ kind: "patch", seq: 8, gone: ["0~1", "0~1.1"] });
    expect(store.branches("0")).toEqual([]);
    store.apply({ kind: "patch", seq: 9, back: ["0~1", "0~1.1"] });
    expect(store.branches("0")).toEqual(["0~1"]);
    expect(store.totals("0").cost).toBe(1);
    expect(store.failures("0")).toBe(0);
  });
});
