// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Detail, Turn } from "../../src/state/protocol";
import { agent, frame, Page } from "../helpers";

let page: Page;

beforeEach(() => {
  page = new Page();
});

afterEach(() => page.end());

async function open(fields: Partial<Detail>, more = {}, run = {}): Promise<void> {
  page.snapshot([agent("0", { rev: 1 }), agent("0.1", { rev: 1, ...more })], run);
  page.session.select("0.1");
  page.answer(fields);
  await frame();
}

/** The agent changed, and its page came anew. */
async function renew(fields: Partial<Detail>): Promise<void> {
  const seq = page.session.store.seq + 1;
  page.receive({ kind: "patch", seq, agents: { "0.1": { rev: seq } } });
  page.pass(300);
  page.answer(fields);
  await frame();
}

const text = (selector: string) => page.all(selector).map((each) => each.textContent);

describe("Pull", () => {
  const field = () => page.find<HTMLInputElement>('[aria-label="Pull as"]');
  const say = () => page.find(".rlm-variable .rlm-answer").textContent;

  beforeEach(() => open({ variables: [{ name: "counts" }] }));

  it("sends the name, shows that it waits, then the answer", async () => {
    field().value = "mine";
    field().dispatchEvent(new Event("input"));
    page.button("Pull")?.click();
    await frame();
    expect(page.last("pull")).toMatchObject({
      agent: "0.1",
      name: "counts",
      target: "mine",
      overwrite: false,
    });
    expect(page.button("Pull")?.hasAttribute("data-pending")).toBe(true);
    page.button("Pull")?.click();
    expect(page.count("pull")).toBe(1);
    page.receive({ kind: "ok", request: page.last("pull").request, message: "`mine` is a DataFrame" });
    await frame();
    expect(say()).toBe("`mine` is a DataFrame");
    expect(page.button("Pull")?.hasAttribute("data-pending")).toBe(false);
  });

  it("asks before it overwrites", async () => {
    expect(page.button("Overwrite")).toBeUndefined();
    page.key("Enter", field());
    page.receive({
      kind: "error",
      request: page.last("pull").request,
      message: "`counts` exists",
      reason: "exists",
    });
    await frame();
    expect(say()).toBe("`counts` exists");
    page.button("Overwrite")?.click();
    expect(page.last("pull")).toMatchObject({ target: "counts", overwrite: true });
  });

  it("of what the agent gave to FINAL needs no name of a variable", async () => {
    await renew({ value: { summary: "int 1" } });
    expect(field().value, "the kernel offered no name").toBe("value_0_1");
    await renew({
      value: { type: "dict", summary: "dict of 2", free_name: "found" },
      variables: [{ name: "counts" }],
    });
    expect(text('[role="option"]')).toEqual(["FINAL valuedict", "counts"]);
    expect(field().value).toBe("found");
    page.button("Pull")?.click();
    expect(page.last("pull")).toMatchObject({ agent: "0.1", name: "", target: "found", overwrite: false });
    page.receive({ kind: "error", request: page.last("pull").request, message: "taken", reason: "exists" });
    await frame();
    page.button("Overwrite")?.click();
    expect(page.last("pull")).toMatchObject({ name: "", target: "found", overwrite: true });
  });

  it("copies the line that does it", async () => {
    const copied: string[] = [];
    vi.stubGlobal("navigator", { clipboard: { writeText: async (line: string) => void copied.push(line) } });
    page.button("Copy as code")?.click();
    await frame();
    await renew({ value: { summary: "int 1", free_name: "one" } });
    page
      .all("button")
      .find((each) => /^Cop(ied|y as code)/.test(each.textContent ?? ""))
      ?.click();
    vi.unstubAllGlobals();
    expect(copied).toEqual(["%rlm pull 0.1 counts -o counts", "%rlm pull 0.1 -o one"]);
  });

  it("refuses what is not a name", async () => {
    field().value = "import os";
    field().dispatchEvent(new Event("input"));
    await frame();
    page.button("Pull")?.click();
    expect(page.count("pull")).toBe(0);
    expect([say(), field().getAttribute("aria-invalid")]).toEqual(["not a valid Python name", "true"]);
  });

  it("keeps typed keys from JupyterLab", () => {
    let seen = 0;
    const listen = () => {
      seen += 1;
    };
    document.body.addEventListener("keydown", listen);
    page.key("d", field());
    document.body.removeEventListener("keydown", listen);
    expect(seen).toBe(0);
  });

  it("says that it comes later where clicks wait for the cell's end", async () => {
    page.receive({ kind: "patch", seq: 2, run: { clicks: false } });
    page.button("Pull")?.click();
    page.pass(9000);
    page.session.tick();
    await frame();
    expect(say()).toBe("available when the cell finishes");
  });
});

describe("commands", () => {
  it("Stop stops this branch, and is gone when it ended", async () => {
    await open({});
    const stop = page.all(".rlm-panel button").find((each) => each.textContent === "Stop");
    stop?.click();
    expect(page.last("stop")).toMatchObject({ agent: "0.1" });
    page.receive({ kind: "patch", seq: 2, agents: { "0.1": { status: "stopped" } } });
    await frame();
    expect(stop?.hidden).toBe(true);
    page.button("Retry")?.click();
    expect(page.last("retry")).toMatchObject({ agent: "0.1" });
    page.receive({ kind: "patch", seq: 3, run: { status: "done" } });
    await frame();
    expect(page.button("Retry"), "its value is of use after the run as well").toBeDefined();
  });

  it("Escape leads out of a field to the row of its agent", async () => {
    await open({});
    const field = page.all('[aria-label^="Code for the kernel"]')[0] as HTMLElement;
    field.focus();
    page.key("Escape", field);
    await frame();
    expect(page.all(".rlm-panel")[0]?.hidden).toBe(true);
  });

  it("an error is told with its words", async () => {
    await open({ error: "AgentError: no code in 3 turns. Ask again with Retry." }, { status: "failed" });
    expect(page.find(".rlm-alert").textContent).toContain("no code in 3 turns");
    page.button("Retry")?.click();
    page.receive({ kind: "error", request: page.last("retry").request, message: "the run has ended" });
    await frame();
    expect(page.find(".rlm-alert").textContent).toMatch(/no code in 3 turns.*\nthe run has ended$/);
    expect(page.session.announcement).toBe("the run has ended");
  });

  it("an error below is told on the way up, and leads to where it happened", async () => {
    const bad = (id: string) => agent(id, { status: "failed", error: `AgentError of ${id}` });
    page.snapshot([agent("0"), agent("0.1"), bad("0.1.1"), bad("0.1.2"), bad("0.1.3"), bad("0.1.4")]);
    page.session.select("0");
    await frame();
    expect(page.item("0").querySelector(".rlm-failures")?.textContent).toBe("4 failed below");
    const told = page.all(".rlm-below-list button");
    expect(told.map((each) => each.textContent)).toEqual([
      "0.1.1 failed: AgentError of 0.1.1",
      "0.1.2 failed: AgentError of 0.1.2",
      "0.1.3 failed: AgentError of 0.1.3 (and 1 more)",
    ]);
    told[1]?.click();
    expect(page.session.choices.selected).toBe("0.1.2");
  });

  it("runs a line in the agent's kernel and shows what it printed", async () => {
    await open({});
    const field = page.find<HTMLInputElement>(".rlm-exec input");
    field.value = "counts.head()";
    page.key("Enter", field);
    expect(page.last("exec")).toMatchObject({ agent: "0.1", code: "counts.head()" });
    expect(field.value).toBe("");
    page.receive({ kind: "ok", request: page.last("exec").request, output: "<b>a</b>" });
    await frame();
    expect(text(".rlm-exec-entry pre")).toEqual(["counts.head()", "<b>a</b>"]);
    page.key("ArrowUp", field);
    expect(field.value).toBe("counts.head()");
    page.key("Enter", field);
    page.receive({ kind: "ok", request: page.last("exec").request, message: "error", output: "KeyError" });
    await frame();
    expect(page.all(".rlm-exec-entry pre").at(-1)?.className).toBe("rlm-error");
  });

  it("shows the exact prompt on demand", async () => {
    await open({});
    page.button("Prompt")?.click();
    const { request } = page.last("prompt");
    page.receive({
      kind: "prompt",
      request,
      agent: "0.1",
      messages: [{ role: "system", content: "You <are>" }],
    });
    await frame();
    expect(text(".rlm-messages h4")).toEqual(["system"]);
    expect(text(".rlm-messages pre")).toEqual(["You <are>"]);
    page.button("Prompt")?.click();
    await frame();
    expect(page.find(".rlm-messages").hidden).toBe(true);
    expect(page.count("prompt")).toBe(1);
  });
});

describe("a reply that is wanted of the reader", () => {
  const field = () => page.find<HTMLTextAreaElement>(".rlm-reply .rlm-edit");
  const write = async (text: string) => {
    field().value = text;
    field().dispatchEvent(new Event("input"));
    await frame();
  };

  beforeEach(() => open({}, { activity: "reply" }));

  it("is sent once, as it was written, and then forgotten", async () => {
    page.button("Send")?.click();
    expect(page.count("reply")).toBe(0);
    await write("FINAL('<b>')");
    page.button("Send")?.click();
    page.button("Send")?.click();
    expect(page.count("reply")).toBe(1);
    expect(page.last("reply")).toMatchObject({ agent: "0.1", text: "FINAL('<b>')" });
    page.receive({ kind: "ok", request: page.last("reply").request });
    await frame();
    expect(field().value).toBe("");
  });

  it("stays where it was refused, with the reason", async () => {
    await write("x = 1");
    page.button("Send")?.click();
    page.receive({ kind: "error", request: page.last("reply").request, message: "too late" });
    await frame();
    expect(field().value).toBe("x = 1");
    expect(page.find(".rlm-reply .rlm-answer").textContent).toBe("too late");
  });

  it("has no box while the agent does something else", async () => {
    page.receive({ kind: "patch", seq: 2, agents: { "0.1": { activity: "code" } } });
    await frame();
    expect(page.find(".rlm-reply").hidden).toBe(true);
  });
});

describe("step mode", () => {
  const field = () => page.find<HTMLTextAreaElement>(".rlm-edit");

  beforeEach(() => open({}, { activity: "step", pending_code: "x = 1" }, { step: true }));

  it("shows the code that waits; Next runs it as it is", () => {
    expect(field().value).toBe("x = 1");
    page.button("Next")?.click();
    expect(page.last("next")).toMatchObject({ agent: "0.1", code: null });
  });

  it("runs edited code, once, and forgets the edit", async () => {
    field().value = "x = 2";
    field().dispatchEvent(new Event("input"));
    await frame();
    expect(page.find(".rlm-step .rlm-answer").textContent).toBe("edited: your version will run");
    page.button("Next")?.click();
    page.button("Next")?.click();
    expect(page.count("next")).toBe(1);
    expect(page.last("next")).toMatchObject({ code: "x = 2" });
    page.receive({ kind: "ok", request: page.last("next").request });
    page.receive({ kind: "patch", seq: 2, agents: { "0.1": { activity: "step", pending_code: "y = 1" } } });
    await frame();
    expect(field().value).toBe("y = 1");
  });

  it("asks what a run over many rows asks, and goes on by a click", async () => {
    const wait = "all 58,000 rows: about $3.10 and 4 minutes; go on?";
    page.receive({
      kind: "patch",
      seq: 2,
      agents: { "0.1": { activity: "step", pending_code: null, wait } },
    });
    await frame();
    expect(page.find(".rlm-step .rlm-answer").textContent).toBe(wait);
    expect(page.button("Next")).toBeUndefined();
    page.button("Go on")?.click();
    expect(page.last("next")).toMatchObject({ agent: "0.1", code: null });
  });

  it("keeps an edit while the tree goes on", async () => {
    field().value = "x = 2";
    field().dispatchEvent(new Event("input"));
    page.receive({ kind: "patch", seq: 2, agents: { "0": { turns: 3 } } });
    await frame();
    expect(field().value).toBe("x = 2");
  });
});

describe("Ask from here instead", () => {
  const turn = (number: number, code: string, more: Partial<Turn> = {}): Turn => ({
    turn: number,
    sent_chars: 1,
    reply: code,
    cells: [{ cell: number, code, output: "", cut: 0, status: "ok", error: null, seconds: 1 }],
    shortened: 0,
    tool_calls: [],
    tools_called: 0,
    input_tokens: 1,
    output_tokens: 1,
    cost: 0,
    model: "m",
    finish_reason: "stop",
    cached: false,
    estimated: false,
    started: 1,
    seconds: 1,
    streaming: false,
    error: null,
    ...more,
  });
  const over = { status: "done", branches: true } as const;
  const field = () => page.find<HTMLTextAreaElement>(".rlm-branch-form textarea");
  const form = () => page.find(".rlm-branch-form");

  it("offers the code of the turn, sends it as it was changed, and leaves when the branch has begun", async () => {
    await open({ turns: [turn(1, "n = 1"), turn(2, "n = 2\n")] }, { status: "done" }, over);
    expect(form().hidden).toBe(true);
    page.all(".rlm-branch")[1]?.click();
    await frame();
    expect(field().value).toBe("n = 2");
    expect(text(".rlm-branch-form h4")).toEqual(["Ask from turn 2 instead"]);
    field().value = "n = 3";
    field().dispatchEvent(new Event("input"));
    await renew({ turns: [turn(1, "n = 1"), turn(2, "n = 2\n")] });
    expect(field().value, "is not taken from the reader's hands").toBe("n = 3");
    page.button("Branch from here")?.click();
    page.button("Branch from here")?.click();
    expect(page.count("branch")).toBe(1);
    const sent = page.last("branch");
    expect(sent).toMatchObject({ agent: "0.1", turn: 2, change: "code", text: "n = 3" });
    page.receive({ kind: "error", request: sent.request, message: "No <i>such</i> turn" });
    await frame();
    expect(text(".rlm-branch-form .rlm-answer")).toEqual(["No <i>such</i> turn"]);
    page.button("Branch from here")?.click();
    page.receive({ kind: "ok", request: page.last("branch").request, message: "It has begun" });
    await frame();
    expect(form().hidden).toBe(true);
    expect(page.session.announcement).toBe("It has begun");
  });

  it("asks for another observation, which is empty at first", async () => {
    await open({ turns: [turn(1, "n = 1")] }, { status: "done" }, over);
    page.all(".rlm-branch")[0]?.click();
    await frame();
    const change = page.find<HTMLSelectElement>(".rlm-branch-form select");
    change.value = "observation";
    change.dispatchEvent(new Event("change"));
    await frame();
    expect(field().value).toBe("");
    expect(page.button("Branch from here")?.getAttribute("aria-disabled")).toBe("true");
    field().value = "It printed 9";
    field().dispatchEvent(new Event("input"));
    page.button("Branch from here")?.click();
    expect(page.last("branch")).toMatchObject({ change: "observation", text: "It printed 9" });
    page.button("Cancel")?.click();
    await frame();
    expect(form().hidden).toBe(true);
  });

  it("never takes a turn that was cut for its code", async () => {
    await open({ turns: [turn(1, "n = … 1", { shortened: 900 })] }, { status: "done" }, over);
    page.all(".rlm-branch")[0]?.click();
    await frame();
    expect(field().value).toBe("");
    expect(text(".rlm-branch-form .rlm-answer")[0]).toContain("too long");
    await renew({ turns: [turn(1, "n = 1")] });
    expect(field().value).toBe("n = 1");
  });

  const moment = {
    position: 1,
    events: 2,
    seconds: 0,
    caption: "",
    agent: null,
    place: "event 1",
    live: false,
    flow: null,
  };
  const shown = () => page.all(".rlm-branch").filter((each) => !each.hidden).length;

  it.each([
    ["a run that goes on", {}, { status: "running", branches: false }],
    ["a file", {}, { ...over, saved: "all" }],
    ["a log", {}, { ...over, replay: { ...moment, only: true } }],
    ["an agent of a branch", { branch: "b" }, over],
  ] as const)("is not there in %s", async (_, more, run) => {
    await open({ turns: [turn(1, "n = 1")] }, { status: "done", ...more }, run);
    expect(shown()).toBe(0);
  });

  it("is there in the replay of a run whose kernels are there", async () => {
    await open(
      { turns: [turn(1, "n = 1")] },
      { status: "done" },
      { ...over, replay: { ...moment, only: false } },
    );
    expect(shown()).toBe(1);
  });

  it("leads from a turn to the branches that leave it there", async () => {
    const branches = [{ agent: "0", title: "branch: turn 1, with <b>" }];
    await open({ turns: [turn(1, "n = 1", { branches })] }, { status: "done" }, over);
    const link = page.find(".rlm-turn-branches button");
    expect(link.textContent).toBe("0 branch: turn 1, with <b>");
    link.click();
    expect(page.session.choices.selected).toBe("0");
  });
});
