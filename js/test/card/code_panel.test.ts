// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { placeWords, stretchesOf } from "../../src/card/code_panel";
import { codeBlock, codeLines } from "../../src/dom/code";
import { cellInserter } from "../../src/notebook_cell";
import { type Saved, SavedKernel } from "../../src/saved_page";
import type { CardPart, Cell, CodeStep, CodeText, Turn } from "../../src/state/protocol";
import { agent, detail, frame, Page } from "../helpers";

let page: Page;

beforeEach(() => {
  page = new Page();
  Element.prototype.scrollIntoView ??= () => {};
});

afterEach(() => {
  page.end();
  page.host.remove();
});

function step(fields: Partial<CodeStep> = {}): CodeStep {
  return {
    agent: "0",
    turn: 1,
    cell: 1,
    lines: [1, 1],
    places: [[2, 2]],
    flow: "",
    filters: [],
    alike: 0,
    ...fields,
  };
}

const SOURCE =
  "def answer(orders):\n    late = orders[orders.d > 3]\n    n = len(late)\n    return {'n': n, 'late': late}\n\nanswer(orders)\n";

const CODE: CodeText = {
  source: SOURCE,
  cell: SOURCE,
  cut: 0,
  verdict: "reproduced",
  detail: "",
  share: 0.4,
  recorded: 0,
  steps: [
    step({ turn: 2, lines: [4, 6], flow: "orders 5,000 → late 1,204 rows", filters: ["orders.d > 3"] }),
    step({ agent: "0.3", places: [[3, 3]] }),
    step({ turn: 3, cell: 2, places: [[4, 4]] }),
  ],
  left_out: 0,
  parts: { n: [0, 1, 2], late: [0, 2] },
};

const VALUE: CardPart = {
  kind: "record",
  parts: [
    { kind: "number", text: "1204", label: "n" },
    { kind: "plain", text: "…", label: "late" },
    { kind: "plain", text: "x", label: "constructor" },
  ],
};

async function ended(value: CardPart = VALUE): Promise<void> {
  const card = {
    title: "Answer",
    value,
    summary: "",
    whole: true,
    agreement: null,
    error: null,
    facts: [],
    seen: "",
  };
  page.snapshot([agent("0"), agent("0.3")], { status: "done", card });
  await frame();
}

async function withCode(code: Partial<CodeText> = {}): Promise<void> {
  await ended();
  page.button("Code behind the answer")?.click();
  page.receive({ kind: "code", request: page.last("code").request, code: { ...CODE, ...code } });
  await frame();
}

const texts = (selector: string) => page.all(`.rlm-code-panel ${selector}`).map((each) => each.textContent);
const marked = () =>
  page.all("[data-marked]").map((each) => each.querySelector("pre")?.textContent?.trim() ?? "");

it("is asked for once, says that the code is run again, and shows it by lines", async () => {
  await ended();
  expect(page.find(".rlm-code-panel").hidden).toBe(true);
  page.button("Code behind the answer")?.click();
  await frame();
  expect(page.find(".rlm-code-panel").hidden).toBe(false);
  expect(page.find(".rlm-code-state").textContent).toContain("Running it again");
  expect(page.button("Copy code")).toBeUndefined();
  page.receive({ kind: "code", request: page.last("code").request, code: CODE });
  await frame();
  expect(
    page
      .all(".rlm-code-text")
      .map((each) => each.textContent)
      .join("\n"),
  ).toBe(SOURCE.trimEnd());
  expect(texts(".rlm-code-link")).toEqual([
    "0 · turn 2 · lines 4–6",
    "0.3 · turn 1 · line 1",
    "0 · turn 3 · line 1",
  ]);
  expect(texts(".rlm-code-told")).toEqual(["orders 5,000 → late 1,204 rows", "where orders.d > 3"]);
  expect(texts(".rlm-proof")).toEqual(["code reproduced"]);
  page.button("Close")?.click();
  await frame();
  expect(document.activeElement).toBe(page.button("Code behind the answer"));
  page.button("Code behind the answer")?.click();
  expect(page.count("code")).toBe(1);
});

it("says why there is none, and asks again with the next click", async () => {
  await ended();
  page.button("Code behind the answer")?.click();
  page.receive({ kind: "error", request: page.last("code").request, message: "There is no code." });
  await frame();
  expect(page.find(".rlm-code-state").textContent).toBe("There is no code.");
  page.button("Close")?.click();
  page.button("Code behind the answer")?.click();
  expect(page.count("code")).toBe(2);
});

it("leads from a statement to its lines on the page of its agent", async () => {
  await withCode();
  page.button("0 · turn 2 · lines 4–6")?.click();
  expect(page.last("open")).toMatchObject({ agent: "0", turn: 2 });
  const cell: Cell = {
    cell: 1,
    code: "1\n2\n3\nfour\nfive\nsix\n7",
    output: "",
    cut: 0,
    status: "ok",
    error: null,
    seconds: 1,
  };
  const turns = [1, 2].map(
    (turn) =>
      ({ turn, reply: "", cells: [cell], tool_calls: [], shortened: 0, model: "m" }) as unknown as Turn,
  );
  page.answer({ turns });
  await frame();
  expect(page.all(".rlm-marked").map((each) => each.textContent)).toEqual(["four\nfive\nsix\n"]);
  expect(document.activeElement?.className).toBe("rlm-marked");
  expect(document.activeElement?.getAttribute("aria-label")).toBe("lines 4 to 6");
  // Another answer of the kernel does not take the focus back.
  page.button("Close")?.focus();
  page.answer({ turns: [...turns] });
  await frame();
  expect(document.activeElement?.textContent).toBe("Close");
});

it("marks what a part of the answer rests on, by its key", async () => {
  await withCode();
  page.button("late")?.click();
  await frame();
  expect(marked()).toEqual(["late = orders[orders.d > 3]", "return {'n': n, 'late': late}"]);
  expect(texts(".rlm-code-state")).toContain("“late” rests on the 2 statements marked here.");
  expect(page.button("late")?.getAttribute("aria-pressed")).toBe("true");
  page.button("constructor")?.click();
  await frame();
  expect(marked()).toHaveLength(3);
  expect(texts(".rlm-code-state")).toContain("“constructor” cannot be told apart: it rests on all of it.");
  page.button("constructor")?.click();
  await frame();
  expect(marked()).toEqual([]);
});

it("is asked for by a click on a key too, and items of lists have their places", async () => {
  await ended({ kind: "list", parts: ["7", "8"].map((text) => ({ kind: "number", text })) });
  page.button("8")?.click();
  expect(page.count("code")).toBe(1);
  page.receive({
    kind: "code",
    request: page.last("code").request,
    code: { ...CODE, parts: { "0": [0], "1": [1] } },
  });
  await frame();
  expect(marked()).toEqual(["n = len(late)"]);
  expect(texts(".rlm-code-state")).toContain("Item 2 rests on the 1 statement marked here.");
});

it("leads from the rows of a list of records, and not from those of a frame", async () => {
  const table: CardPart = {
    kind: "table",
    type: "list",
    columns: ["name", "n"].map((name) => ({ name, number: false, index: false })),
    rows: [
      ["North", "6"],
      ["South", "3"],
    ],
  };
  await ended({ ...table, type: "DataFrame" });
  expect(page.button("South")).toBeUndefined();
  const card = {
    title: "Answer",
    value: table,
    summary: "",
    whole: true,
    agreement: null,
    error: null,
    facts: [],
    seen: "",
  };
  page.receive({ kind: "patch", seq: 2, run: { card } });
  await frame();
  page.button("South")?.click();
  page.receive({
    kind: "code",
    request: page.last("code").request,
    code: { ...CODE, parts: { "0": [0], "1": [1] } },
  });
  await frame();
  expect(marked()).toEqual(["n = len(late)"]);
});

it("copies nothing that is cut, and says how to get all", async () => {
  await withCode({ cut: 12_000, left_out: 3 });
  expect(page.button("Copy code")).toBeUndefined();
  expect(texts(".rlm-code-state").at(-1)).toContain("12,000 more characters: `%rlm code -o how` shows all.");
});

it("puts the code into the next cell, where the page can do that", async () => {
  await withCode();
  expect(page.button("To next cell")).toBeUndefined();
  const insert = vi.fn(() => true);
  page.session.insertCell = insert;
  page.session.changed();
  await frame();
  page.button("To next cell")?.click();
  expect(insert).toHaveBeenCalledWith(page.find(".rlm-code-panel"), SOURCE);
  expect(texts(".rlm-card-pulled")).toEqual(["It is in the cell below."]);
});

it("puts another form of the code into the cell where the code would bind a variable anew", async () => {
  const cell = "def answer(orders):\n    return 1\n\nanswer(orders)\n";
  await withCode({ cell });
  const insert = vi.fn(() => true);
  page.session.insertCell = insert;
  page.session.changed();
  await frame();
  page.button("To next cell")?.click();
  expect(insert).toHaveBeenCalledWith(page.find(".rlm-code-panel"), cell);
});

describe("a new cell", () => {
  it("stands behind the cell of the widget", () => {
    const insertCell = vi.fn();
    const model = {
      widget_manager: { context: { model: { sharedModel: { cells: [1, 2, 3], insertCell } } } },
    };
    document.body.innerHTML =
      '<div class="jp-Notebook"><i class="jp-Cell"></i><i class="jp-Cell"><b></b></i></div><u></u>';
    const insert = cellInserter(model);
    expect(insert?.(document.querySelector("b") as Element, "x = 1")).toBe(true);
    expect(insertCell).toHaveBeenLastCalledWith(2, { cell_type: "code", source: "x = 1" });
    insert?.(document.querySelector("u") as Element, "x");
    expect(insertCell).toHaveBeenLastCalledWith(3, expect.anything());
    document.body.replaceChildren();
  });

  it.each([
    null,
    {},
    { widget_manager: {} },
    { widget_manager: { context: { model: { sharedModel: {} } } } },
  ])("is not offered by %j", (model) => expect(cellInserter(model)).toBeNull());
});

it("stands in a saved page, and is not offered where it does not", async () => {
  const saved: Saved = { run: {}, agents: {}, details: { "0": detail() }, prompts: {}, code: CODE };
  expect(new SavedKernel(saved).answer({ kind: "code", request: "r" })[0]).toEqual({
    kind: "code",
    request: "r",
    code: CODE,
  });
  page.session.offersCode = false;
  await ended();
  expect(page.button("Code behind the answer")).toBeUndefined();
  expect(page.button("late")).toBeUndefined();
});

it("cuts its lines where another statement begins", () => {
  const steps = [
    step({ places: [[2, 3]] }),
    step({
      places: [
        [2, 3],
        [9, 99],
      ],
    }),
  ];
  expect(stretchesOf(steps, 4)).toEqual([
    { first: 1, last: 1, steps: [] },
    { first: 2, last: 3, steps: [0, 1] },
    { first: 4, last: 4, steps: [] },
  ]);
  expect(placeWords(step({ turn: 0 }))).toBe("0 · first look · line 1");
});

it("keeps each line of a text that goes over several, in its colour", () => {
  const code = 'x = """a\n  b"""\ny';
  expect(codeLines(code).map((line) => line.map((node) => node.textContent).join(""))).toEqual(
    code.split("\n"),
  );
  expect(codeBlock(code, [2, 2]).querySelector(".rlm-marked .rlm-t-s")?.textContent).toBe('  b"""');
});

it("shows hostile text as text", async () => {
  const evil = '<img src=x onerror="alert(1)">\u202e\0';
  await withCode({
    source: `${evil}\n`,
    detail: evil,
    steps: [step({ agent: evil, flow: evil, filters: [evil], places: [[1, 1]] })],
    parts: { [evil]: [0] },
  });
  const panel = page.find(".rlm-code-panel");
  expect([...panel.querySelectorAll("img, a, script, iframe")]).toEqual([]);
  expect(panel.textContent).toContain("<img src=x");
  expect(["\u202e", "\0"].filter((hidden) => panel.textContent?.includes(hidden))).toEqual([]);
});
