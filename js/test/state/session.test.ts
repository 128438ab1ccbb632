import { describe, expect, it } from "vitest";
import { SLOW_AFTER } from "../../src/state/requests";
import { agent, Desk, ids } from "../helpers";

const variable = (name: string, free_name?: string) => ({ name, ...(free_name ? { free_name } : {}) });

describe("the talk with the kernel", () => {
  it("says hello and takes the snapshot", () => {
    const desk = new Desk();
    desk.session.hello();
    expect(desk.sent).toEqual([{ kind: "hello", request: "page.1" }]);
    desk.snapshot([agent("0")]);
    expect(desk.session.store.agents.size).toBe(1);
    expect(desk.session.requests.get("hello")).toBeUndefined();
  });

  it("says hello once when a patch was lost, and again when that was lost too", () => {
    const desk = new Desk();
    desk.snapshot([agent("0")]);
    desk.receive({ kind: "patch", seq: 4 });
    desk.receive({ kind: "patch", seq: 5 });
    expect(desk.count("hello")).toBe(1);
    desk.pass(4000);
    desk.receive({ kind: "patch", seq: 6 });
    expect(desk.count("hello")).toBe(2);
  });

  it("ignores what it does not know", () => {
    const desk = new Desk();
    desk.receive({ kind: "surprise" } as never);
    desk.receive({ kind: "ok", request: "another page.7", message: "pulled" });
    expect(desk.session.announcement).toBe("");
  });

  it("repeats hello with longer and longer waits while no state comes", () => {
    const desk = new Desk();
    desk.session.watch(() => {});
    desk.session.hello();
    for (let second = 0; second < 30; second += 1) {
      desk.pass(1000);
      desk.session.tick();
    }
    expect(desk.count("hello")).toBeGreaterThan(2);
    expect(desk.count("hello")).toBeLessThan(6);
  });

  it("asks after a long silence of a live run, and says when nobody answers; clocks stand still", () => {
    const desk = new Desk();
    desk.session.watch(() => {});
    desk.snapshot([agent("0")], { started: 1000, elapsed: 1 });
    const wait = (seconds: number) => {
      for (let at = 0; at < seconds; at += 1) {
        desk.pass(1000);
        desk.session.tick();
      }
    };
    wait(21);
    expect([desk.count("hello"), desk.session.lost]).toEqual([1, false]);
    desk.snapshot([agent("0")], {}, 1);
    expect(desk.session.now()).toBeCloseTo(1022);
    wait(40);
    expect([desk.count("hello"), desk.session.lost]).toEqual([2, true]);
    expect(desk.session.now()).toBeCloseTo(1022);
    desk.receive({ kind: "patch", seq: 2, run: { elapsed: 62 } });
    expect([desk.session.lost, desk.session.now()]).toEqual([false, 1062]);
    desk.receive({ kind: "patch", seq: 3, run: { status: "done" } });
    wait(60);
    expect(desk.count("hello")).toBe(2);
  });

  it("tells the end of a run", () => {
    const desk = new Desk();
    desk.snapshot([agent("0")]);
    desk.receive({ kind: "patch", seq: 2, run: { status: "done" } });
    expect(desk.session.announcement).toBe("Run done");
  });
});

describe("time", () => {
  it("runs by the kernel's clock between messages", () => {
    const desk = new Desk();
    desk.milliseconds = 9_000_000;
    desk.snapshot([agent("0")], { started: 1000, elapsed: 5 });
    const { session } = desk;
    desk.pass(2000);
    expect(session.now()).toBeCloseTo(1007);
    expect(session.elapsed({ status: "running", started: 1001, elapsed: 1 })).toBeCloseTo(6);
    expect(session.elapsed({ status: "done", started: 1001, elapsed: 1 })).toBe(1);
    expect(session.elapsed({ status: "running", started: null, elapsed: null })).toBeNull();
  });

  it("is not set back by a late message", () => {
    const desk = new Desk();
    desk.milliseconds = 9_000_000;
    desk.snapshot([agent("0")], { started: 1000, elapsed: 5 });
    desk.pass(3000);
    desk.receive({ kind: "patch", seq: 2, run: { elapsed: 6 } });
    expect(desk.session.now()).toBeCloseTo(1008);
  });
});

describe("an agent's page", () => {
  it("is fetched when opened, and again when its agent changed: after 250 ms, one request at a time", () => {
    const desk = new Desk();
    desk.snapshot([agent("0", { rev: 1 })]);
    desk.session.select("0");
    expect(desk.last("open")).toMatchObject({ agent: "0" });
    desk.receive({ kind: "patch", seq: 2, agents: { "0": { rev: 2 } } });
    desk.pass(1000);
    expect(desk.count("open")).toBe(1);
    desk.answer();
    desk.pass(240);
    expect(desk.count("open")).toBe(1);
    desk.pass(20);
    expect(desk.count("open")).toBe(2);
    desk.answer();
    desk.pass(1000);
    expect(desk.count("open")).toBe(2);
  });

  it("is fetched once for many changes in a row", () => {
    const desk = new Desk();
    desk.snapshot([agent("0", { rev: 1 })]);
    desk.session.select("0");
    desk.answer();
    for (let seq = 2; seq < 12; seq += 1) {
      desk.receive({ kind: "patch", seq, agents: { "0": { rev: seq } } });
      desk.pass(20);
    }
    desk.pass(300);
    expect(desk.count("open")).toBe(2);
  });

  it("that is closed is not fetched", () => {
    const desk = new Desk();
    desk.snapshot([agent("0", { rev: 1 })]);
    desk.session.select("0");
    desk.answer();
    desk.session.select(null);
    desk.receive({ kind: "patch", seq: 2, agents: { "0": { rev: 2 } } });
    desk.pass(1000);
    expect(desk.count("open")).toBe(1);
  });

  it("that could not be given can be asked for again", () => {
    const desk = new Desk();
    desk.snapshot([agent("0"), agent("0.1")]);
    desk.session.select("0");
    desk.receive({ kind: "error", request: desk.last("open").request, message: "no such agent" });
    expect(desk.session.requests.get("open:0")).toMatchObject({ state: "error", message: "no such agent" });
    desk.session.select("0.1");
    desk.session.select("0");
    expect(desk.count("open")).toBe(3);
  });

  it("is kept for the last few agents only", () => {
    const desk = new Desk();
    desk.snapshot([agent("0"), ...ids("0", 40).map((id) => agent(id))]);
    for (const id of ids("0", 40)) {
      desk.session.select(id);
      desk.answer();
    }
    expect(desk.session.details.size).toBe(24);
    expect(desk.session.details.has("0.40")).toBe(true);
  });

  it("shows the root where that waits for consent, also without step mode", () => {
    const desk = new Desk();
    desk.snapshot([agent("0")], { step: false });
    expect(desk.session.choices.selected).toBeNull();
    desk.receive({ kind: "patch", seq: 2, agents: { "0": { activity: "step", wait: "go on?" } } });
    expect(desk.session.choices.selected).toBe("0");
  });

  it("follows the agent that waits for Next", () => {
    const desk = new Desk();
    desk.snapshot([agent("0"), agent("0.1"), agent("0.2")], { step: true });
    desk.receive({ kind: "patch", seq: 2, agents: { "0.2": { activity: "step", pending_code: "x" } } });
    expect(desk.session.choices.selected).toBe("0.2");
    desk.receive({ kind: "patch", seq: 3, agents: { "0.1": { activity: "step" } } });
    expect(desk.session.choices.selected).toBe("0.2");
    desk.receive({ kind: "patch", seq: 4, agents: { "0.2": { activity: "code", pending_code: null } } });
    expect(desk.session.choices.selected).toBe("0.1");
  });

  it("follows the agent that waits for the reader's reply, in any mode", () => {
    const desk = new Desk();
    desk.snapshot([agent("0"), agent("0.1"), agent("0.2")]);
    desk.receive({ kind: "patch", seq: 2, agents: { "0.2": { activity: "step" } } });
    expect(desk.session.choices.selected).not.toBe("0.2");
    desk.receive({ kind: "patch", seq: 3, agents: { "0.1": { activity: "reply" } } });
    expect(desk.session.choices.selected).toBe("0.1");
  });
});

describe("a request", () => {
  it("goes from pending to done, with its message", () => {
    const desk = new Desk();
    desk.session.send({ kind: "stop", agent: "0.2" });
    expect(desk.session.requests.isPending("stop:0.2")).toBe(true);
    desk.receive({ kind: "ok", request: "page.1", message: "stopping 0.2" });
    expect(desk.session.requests.get("stop:0.2")).toMatchObject({ state: "done", message: "stopping 0.2" });
    expect(desk.session.announcement).toBe("stopping 0.2");
  });

  it("without an answer becomes slow, and may still be answered", () => {
    const desk = new Desk();
    desk.session.send({ kind: "stop", agent: null });
    desk.pass(SLOW_AFTER + 1);
    desk.session.tick();
    expect(desk.session.requests.get("stop:")?.state).toBe("slow");
    desk.receive({ kind: "error", request: "page.1", message: "no" });
    expect(desk.session.requests.get("stop:")?.state).toBe("error");
  });

  it("that was asked again ignores the first answer", () => {
    const desk = new Desk();
    desk.session.send({ kind: "retry", agent: "0.1" });
    desk.session.send({ kind: "retry", agent: "0.1" });
    desk.receive({ kind: "error", request: "page.1", message: "late" });
    expect(desk.session.requests.get("retry:0.1")?.state).toBe("pending");
  });

  it("keeps the output of a cell that failed", () => {
    const desk = new Desk();
    desk.session.exec("0", "print(1); 1/0");
    desk.receive({ kind: "ok", request: "page.1", output: "1\nZeroDivisionError" });
    const [entry] = desk.session.choices.execs.get("0") ?? [];
    expect(entry?.request).toMatchObject({ state: "done", output: "1\nZeroDivisionError" });
  });
});

describe("the name for a pull", () => {
  function desk(): Desk {
    const made = new Desk();
    made.snapshot([agent("0"), agent("0.1")]);
    made.session.select("0.1");
    made.answer({ variables: [variable("counts"), variable("context"), variable("df", "df_2")] });
    return made;
  }

  it("is the kernel's offer, else one that looks free", () => {
    const { session } = desk();
    expect(["counts", "context", "df"].map((name) => session.pullAs("0.1", name))).toEqual([
      "counts",
      "context_0_1",
      "df_2",
    ]);
  });

  it("is what was typed", () => {
    const { session } = desk();
    session.choices.pullAs.set("0.1:counts", "mine");
    expect(session.pullAs("0.1", "counts")).toBe("mine");
  });

  it("that was taken by a pull is not offered again", () => {
    const made = desk();
    made.session.pull("0.1", "counts", "counts", false);
    made.receive({ kind: "ok", request: made.last("pull").request });
    expect(made.session.pullAs("0", "counts")).toBe("counts_0");
  });

  it("that exists is marked so, by reason or by words", () => {
    const made = desk();
    for (const error of [{ message: "`x` is taken", reason: "exists" }, { message: "`x` already exists" }]) {
      made.session.pull("0.1", "counts", "x", false);
      made.receive({ kind: "error", request: made.last("pull").request, ...error });
      expect(made.session.requests.get("pull:0.1:counts")?.reason).toBe("exists");
    }
  });
});

it("says which agent failed or waits for Next, and of many how many", () => {
  const desk = new Desk();
  desk.snapshot([agent("0"), agent("0.1", { status: "failed" }), agent("0.2"), agent("0.3")]);
  expect(desk.session.announcement, "a page that is opened later is not told what is past").toBe("");
  const said = (agents: Record<string, object>) => {
    desk.receive({ kind: "patch", seq: desk.session.store.seq + 1, agents });
    return desk.session.announcement;
  };
  expect(said({ "0.2": { turns: 3 } })).toBe("");
  expect(said({ "0.2": { activity: "step" } })).toBe("0.2 waiting for Next");
  expect(said({ "0.2": { activity: "reply" } })).toBe("0.2 waiting for your reply");
  expect(said({ "0.2": { status: "failed" } })).toBe("0.2 failed");
  expect(said({ "0.3": { status: "failed" }, "0.2": { status: "failed" }, "0": {} })).toBe("2 agents failed");
});
