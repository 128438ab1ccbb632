// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Cell, Detail, Place, SubCall, Turn } from "../../src/state/protocol";
import { agent, frame, Page } from "../helpers";

let page: Page;

beforeEach(() => {
  page = new Page();
});

afterEach(() => page.end());

function turn(fields: Partial<Turn> = {}): Turn {
  return {
    turn: 1,
    sent_chars: 900,
    reply: "",
    cells: [],
    shortened: 0,
    tool_calls: [],
    tools_called: 0,
    estimated: false,
    input_tokens: 10,
    output_tokens: 5,
    cost: 0.001,
    model: "m",
    finish_reason: "stop",
    cached: false,
    started: 1000,
    seconds: 1.5,
    streaming: false,
    error: null,
    ...fields,
  };
}

function cell(fields: Partial<Cell> = {}): Cell {
  return {
    cell: 1,
    code: "x = 1",
    output: "",
    cut: 0,
    status: "ok",
    error: null,
    seconds: 0.1,
    pictures: [],
    ...fields,
  };
}

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

describe("pictures", () => {
  const PNG = "iVBORw0KGgo=";
  const picture = (png: string) => ({ summary: '"><b>line chart', width: 640, height: 480, png });
  const sources = () => page.all(".rlm-pictures img").map((each) => each.getAttribute("src"));

  it("of a cell stand below its output, as data, with the line that the model reads", async () => {
    const shown = cell({ output: "<line chart>", pictures: [picture(PNG), picture("")] });
    await open({ turns: [turn({ cells: [shown] })] });
    expect(sources()).toEqual([`data:image/png;base64,${PNG}`]);
    expect(page.find(".rlm-pictures img").getAttribute("alt")).toBe('"><b>line chart');
    await renew({ turns: [turn({ cells: [cell({ output: "<line chart>", pictures: [] })] })] });
    expect(sources()).toEqual([]);
    expect(page.find(".rlm-pictures").hasAttribute("hidden")).toBe(true);
  });

  it("are nothing but base64", async () => {
    const bad = ['x" onerror=alert(1)', "svg+xml,<svg/>", "//127.0.0.1/x.png,", "=", "iVBOR=w0"];
    await open({ turns: [turn({ cells: [cell({ pictures: bad.map(picture) })] })] });
    expect(sources()).toEqual([]);
  });
});

describe("turns", () => {
  it("read as prose, code where it stood, its output and its error", async () => {
    const reply = "First I look.\n```repl\nx = 1\n```\nThen:\n```repl\ny\n```";
    const cells = [
      cell({ output: "out", cut: 1200 }),
      cell({ cell: 2, code: "y", status: "error", error: "NameError: y" }),
    ];
    await open({ turns: [turn({ reply, cells })] });
    const order = [...page.find(".rlm-turn-body").children].map((each) => each.className);
    expect(order).toEqual(["rlm-prose", "rlm-cell", "rlm-prose", "rlm-cell"]);
    expect(text(".rlm-code")).toEqual(["x = 1", "y"]);
    expect(text(".rlm-output")[0]).toBe("out");
    expect(text(".rlm-error")[1]).toBe("NameError: y");
    expect(text(".rlm-cell-facts")).toEqual([
      "[1] · 0.10 s · 1,200 characters of output cut",
      "[2] · error · 0.10 s",
    ]);
    expect(text(".rlm-turn-facts")).toEqual(["10 in · 5 out · $0.0010 · 1.5 s"]);
  });

  it("show code that was edited after the reply", async () => {
    await open({ turns: [turn({ reply: "```repl\nx = 1\n```", cells: [cell({ code: "x = 2" })] })] });
    expect(text(".rlm-code")).toEqual(["x = 1", "x = 2"]);
  });

  it("that stream grow in place", async () => {
    await open({ turns: [turn({ reply: "I lo", streaming: true })] });
    const before = page.find(".rlm-turn-body > pre");
    page.receive({ kind: "patch", seq: 2, agents: { "0.1": { rev: 2 } } });
    page.pass(300);
    page.answer({ turns: [turn({ reply: "I look at", streaming: false })] });
    await frame();
    expect(page.find(".rlm-turn-body > pre")).toBe(before);
    expect(before.textContent).toBe("I look at");
  });

  it("say when a reply was cached or cut short", async () => {
    await open({ turns: [turn({ cached: true, finish_reason: "length" })] });
    expect(text(".rlm-turn-facts")[0]).toContain("from cache · ended: length");
  });
});

describe("a page that was cut", () => {
  it("offers the newest turn that is missing, and the whole of a shortened one", async () => {
    const reply = "a\n… 9,000 characters left out …\nb";
    await open({
      turns: [turn({ turn: 1 }), turn({ turn: 5, reply, shortened: 9000 }), turn({ turn: 6 })],
      cut: { turns: 3 },
    });
    expect(
      page.all("button").filter((each) => each.textContent === "Whole turn" && !each.hidden),
    ).toHaveLength(1);
    page.button("3 turns left out · show turn 4")?.click();
    expect(page.last("open")).toMatchObject({ agent: "0.1", turn: 4 });
    page.answer({ turns: [turn({ turn: 4 }), turn({ turn: 5, reply, shortened: 9000 })] });
    await frame();
    page.button("Whole turn")?.click();
    expect(page.last("open")).toMatchObject({ agent: "0.1", turn: 5 });
  });

  it("says why a turn has no reply", async () => {
    await open({ turns: [turn({ error: "APIStatusError: 500" })] });
    expect(text(".rlm-turn > .rlm-error")).toEqual(["APIStatusError: 500"]);
  });
});

describe("what the agent made", () => {
  const frameOf = (name: string) => ({
    name,
    type: "DataFrame",
    summary: "DataFrame 2 × 2",
    turn: 3,
    columns: [
      { name: "<b>", dtype: "int64", nulls: 2 },
      { name: "b", dtype: "str" },
    ],
    rows: [
      [1, "<img src=x>"],
      [null, { a: 1 }],
    ],
  });

  it("is a real table, from text only", async () => {
    await open({ variables: [frameOf("counts")] });
    expect(text(".rlm-variables th")).toEqual(["<b>int64 2 null", "bstr"]);
    expect(text(".rlm-variables td")).toEqual(["1", "<img src=x>", "null", '{"a":1}']);
    expect(page.all("img, b.x")).toEqual([]);
    expect(text(".rlm-variable-summary")).toEqual(["DataFrame 2 × 2 · from turn 3 of 0.1"]);
  });

  it("opens at the first table that is not the data itself; another is a click or an arrow away", async () => {
    await open({ variables: [frameOf("context"), { name: "n", preview: "3" }, frameOf("counts")] });
    const chosen = () => page.find('.rlm-names [aria-selected="true"] .rlm-mono').textContent;
    expect(chosen()).toBe("counts");
    page.find('[data-name="n"]').click();
    await frame();
    expect([chosen(), page.find<HTMLInputElement>('[aria-label="Pull as"]').value]).toEqual(["n", "n"]);
    expect(text(".rlm-preview")).toEqual(["3"]);
    page.key("ArrowDown", page.find('[data-name="n"]'));
    await frame();
    expect(chosen()).toBe("counts");
  });

  it("stays at a variable that somebody works with", async () => {
    await open({
      variables: [
        { name: "f", type: "function" },
        { name: "n", type: "int" },
      ],
    });
    const field = page.find<HTMLInputElement>('[aria-label="Pull as"]');
    expect(field.value).toBe("n");
    field.focus();
    page.receive({ kind: "patch", seq: 2, agents: { "0.1": { rev: 2 } } });
    page.pass(300);
    page.answer({ variables: [{ name: "n", type: "int" }, frameOf("counts")] });
    await frame();
    expect(field.value).toBe("n");
  });

  it("shows its value and the data it was given", async () => {
    await open({ value: { summary: "Timestamp 2025-09-01" }, context: { type: "str", length: 9 } });
    const shown = page.all(".rlm-described").filter((each) => !each.hidden);
    expect(shown.map((each) => each.querySelector("summary")?.textContent)).toEqual([
      "Contextstr",
      "ValueTimestamp 2025-09-01",
    ]);
  });

  it("lists what is in a container", async () => {
    await open({
      value: {
        summary: "dict of 20 keys",
        length: 20,
        items: [
          { key: "<a>", type: "int", bytes: 28, summary: "1" },
          { key: "b", type: "list" },
        ],
      },
      context: { summary: "list of 2", items: [{ summary: "'x'" }, {}] },
    });
    const cells = (selector: string) =>
      page.all(`${selector} tr`).map((row) => [...row.children].map((each) => each.textContent));
    expect(cells('[aria-label="Contents of Value"]')).toEqual([
      ["key", "type", "size", "preview"],
      ["<a>", "int", "28 B", "1"],
      ["b", "list", "", "list"],
    ]);
    expect(text('[aria-label="Contents of Value"] .rlm-more')).toEqual(["… 18 more"]);
    expect(cells('[aria-label="Contents of Context"]')).toEqual([
      ["index", "type", "size", "preview"],
      ["0", "", "", "'x'"],
      ["1", "", "", ""],
    ]);
  });

  it("shows where a variable is held, where that is not the agent's own memory", async () => {
    const each = (name: string, place: Place | null) => ({
      name,
      type: "str",
      summary: `str ${name}`,
      place,
    });
    await open({ variables: [each("a", "disk"), each("b", "shared"), each("c", "memory"), each("d", null)] });
    expect(text('[role="option"] small')).toEqual(["str disk", "str shared", "str", "str"]);
    expect(page.find(".rlm-variable-summary").textContent).toBe("str a · on disk");
  });

  it("tells what its code called of tools, and how that ended", async () => {
    const calls = [
      { name: "look<up>", seconds: 0.12, ok: true },
      { name: "mail", seconds: 2, ok: false, error: "TimeoutError:\nno answer" },
      { name: "sql", seconds: null, ok: false },
    ];
    const turns = [turn({ tool_calls: calls, tools_called: 9 }), turn({ turn: 2 })];
    await open({ turns, tools: ["look<up>", "mail"] }, { tool_calls: 9 });
    expect(text(".rlm-tools li")).toEqual([
      "look<up> 0.12 s",
      "mail 2.0 s failed: TimeoutError: no answer",
      "sql failed",
      "… 6 further calls ",
    ]);
    expect(text(".rlm-given")).toEqual(["Tools: look<up>, mail"]);
    expect(page.find(".rlm-panel-facts").textContent).toContain("9 tool calls");
  });

  it("says of a prompt that is read how long that takes", async () => {
    await open({ turns: [] }, { activity: "reading", wait: "reading about 1,700 tokens" });
    expect(page.find(".rlm-panel-facts").textContent).toMatch(/^reading about 1,700 tokens · /);
  });

  it("lists plain model calls", async () => {
    const call: SubCall = {
      call: 1,
      prompt: "Say <b>hi</b>",
      reply: "hi",
      input_tokens: 3,
      output_tokens: 1,
      cost: null,
      status: "done",
      purpose: null,
      cached: false,
      estimated: false,
    };
    await open({ sub_calls: [call, { ...call, call: 2, reply: null, status: "failed" }] });
    expect(text(".rlm-call-text").filter((each) => each?.includes("→"))).toEqual([
      "Say <b>hi</b> → hi",
      "Say <b>hi</b> → failed",
    ]);
    const purposes = ["llm_query", "repair", "fallback", "summary", "new_reason", null];
    await renew({
      sub_calls: purposes.map((purpose, at) => ({
        ...call,
        call: at,
        prompt: "p",
        purpose,
        cached: at === 1,
        estimated: at === 2,
      })),
    });
    expect(text(".rlm-call-text").filter((each) => each?.includes("→"))).toEqual([
      "p → hi",
      "[second try] p → hi",
      "[sub-agent at the depth limit] p → hi",
      "[summary of old turns] p → hi",
      "[new reason] p → hi",
      "p → hi",
    ]);
    expect(text(".rlm-call-cost").slice(0, 3)).toEqual([
      "4 · unknown",
      "from cache · 4 · unknown",
      "about 4 · unknown",
    ]);
  });

  it("shows a first look before the turns as a cell with its output, and only where there was one", async () => {
    await open({ turns: [turn()] });
    const shown = () => page.all(".rlm-look, .rlm-turn").filter((each) => !(each as HTMLElement).hidden);
    expect(shown()).toHaveLength(1);
    await renew({ look: cell({ code: "describe(context)", output: "3 <b>lines</b>" }), turns: [turn()] });
    expect(shown().map((each) => each.querySelector("h4")?.textContent)).toEqual(["First look", "Turn 1"]);
    expect(shown()[0]?.querySelector("code")?.textContent).toBe("describe(context)");
    expect(shown()[0]?.querySelector(".rlm-output")?.textContent).toBe("3 <b>lines</b>");
  });
});
