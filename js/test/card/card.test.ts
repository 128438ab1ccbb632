// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Card, CardPart, TextBlock } from "../../src/state/protocol";
import { agent, frame, Page } from "../helpers";

const EVIL = '<img src=x onerror="alert(1)"><b>x</b> [a](javascript:alert(1)) \u202e\u0000';
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

let page: Page;

beforeEach(() => {
  page = new Page();
});

afterEach(() => page.end());

function card(value: CardPart | null, fields: Partial<Card> = {}): Card {
  return {
    title: "Answer",
    value,
    summary: "",
    whole: true,
    agreement: null,
    error: null,
    facts: ["4 agents", "$0.02"],
    seen: "The model was shown 48 characters of samples and outputs; the data has 48.0 MB",
    ...fields,
  };
}

async function draw(value: CardPart | null, fields: Partial<Card> = {}, run = {}): Promise<HTMLElement> {
  page.snapshot([agent("0", { status: "done" })], { status: "done", card: card(value, fields), ...run });
  await frame();
  return page.find(".rlm-card");
}

function block(words: string, fields: Partial<TextBlock> = {}): TextBlock {
  return { kind: "paragraph", text: [["", words]], level: 0, number: null, ...fields };
}

const texts = (selector: string) => page.all(`.rlm-card ${selector}`).map((each) => each.textContent);

it("shows a passage of the data as what opens it where it stands, and none of it as markup", async () => {
  const passage = { place: "context, lines 3–4", quote: EVIL, before: "before <i>", after: "after" };
  await draw({ kind: "text", blocks: [block(EVIL)], passage });
  const opens = page.find<HTMLDetailsElement>(".rlm-card details.rlm-passage");
  expect(opens.open).toBe(false);
  expect(opens.querySelector("summary")?.textContent).toContain("context, lines 3–4");
  expect(opens.querySelector("pre")?.textContent).toMatch(/^before <i><img src=x .*after$/s);
  expect(opens.querySelector("mark")?.textContent).toContain('<img src=x onerror="alert(1)">');
  expect(opens.querySelector("img, b, i, a")).toBeNull();
});

it("is not there while the run goes on, and stands before the facts when the value is", async () => {
  page.snapshot([agent("0")], { status: "running" });
  await frame();
  expect(page.find(".rlm-card").hidden).toBe(true);
  page.receive({ kind: "patch", seq: 2, run: { status: "done", card: card({ kind: "number", text: "6" }) } });
  await frame();
  expect(page.find(".rlm-card").hidden).toBe(false);
  const order = page.find(".rlm-card").compareDocumentPosition(page.find(".rlm-facts"));
  expect(order & Node.DOCUMENT_POSITION_FOLLOWING).toBeTruthy();
  expect(texts(".rlm-card-title")).toEqual(["Answer"]);
  expect(page.find(".rlm-result").hidden).toBe(true);
});

it("lists what was assumed, and nothing where nothing was", async () => {
  await draw({ kind: "number", text: "6" });
  expect(page.find(".rlm-card-assumed").hidden).toBe(true);
  const assumptions = ["Cents? Assumed: yes (no answer within 120 s)"];
  const other = card({ kind: "number", text: "6" }, { assumptions });
  page.receive({ kind: "patch", seq: page.session.store.seq + 1, run: { card: other } });
  await frame();
  expect(page.find(".rlm-card-assumed").hidden).toBe(false);
  expect(texts(".rlm-card-assumed li")).toEqual(assumptions);
});

it.each([
  ["9007199254740993", "orders"],
  ["nan", undefined],
  ["-inf", undefined],
])("keeps all digits of %s, with its unit", async (text, unit) => {
  await draw({ kind: "number", text, ...(unit ? { unit } : {}) });
  expect(texts(".rlm-big")).toEqual([unit ? `${text} ${unit}` : text]);
});

it("shows a text with its paragraphs, lists and code, and never a link", async () => {
  await draw({
    kind: "text",
    blocks: [
      block("", {
        text: [
          ["strong", "bold"],
          ["", " [a](http://b.c) "],
          ["code", "x"],
          ["emphasis", "e"],
        ],
      }),
      block("Title", { kind: "heading", level: 2 }),
      block("one", { kind: "item", number: 3 }),
      block("two", { kind: "item", number: 4 }),
      block("deep", { kind: "item", level: 1 }),
      block("x = 1\ny", { kind: "code" }),
      block("said", { kind: "quote" }),
    ],
    more: "120 more characters",
  });
  expect(texts("p")).toEqual(["bold [a](http://b.c) xe", "Title"]);
  expect(texts("strong")).toEqual(["bold"]);
  expect(texts("ol > li")).toEqual(["one", "two"]);
  expect(page.find(".rlm-card ol").getAttribute("start")).toBe("3");
  expect(texts("ul > li")).toEqual(["deep"]);
  expect(texts("pre.rlm-text-code")).toEqual(["x = 1\ny"]);
  expect(texts("blockquote")).toEqual(["said"]);
  expect(texts(".rlm-more")).toEqual(["… 120 more characters"]);
  expect(page.all(".rlm-card a")).toEqual([]);
});

it("shows a table with its index, numbers at the right, and its shape", async () => {
  await draw({
    kind: "table",
    columns: [
      { name: "id", number: true, index: true },
      { name: "name", number: false, index: false },
      { name: "sum", number: true, index: false },
    ],
    rows: [["7", "North", "9007199254740993"]],
    shape: "40 rows × 2 columns",
    more: "39 more rows",
  });
  expect(texts("thead th")).toEqual(["id", "name", "sum"]);
  expect(texts('tbody th[scope="row"]')).toEqual(["7"]);
  expect(texts("td.rlm-number")).toEqual(["9007199254740993"]);
  expect(texts(".rlm-more")).toEqual(["40 rows × 2 columns · 39 more rows not shown"]);
});

it("shows a dict as rows, short lists on one line, and a chart as a picture, stacked", async () => {
  await draw({
    kind: "record",
    parts: [
      { kind: "plain", text: "True", label: "sure" },
      { kind: "list", label: "weeks", parts: [9, 10].map((n) => ({ kind: "number", text: `${n}` })) },
      { kind: "list", label: "why", parts: [{ kind: "text", blocks: [block("it leaks")] }] },
      { kind: "picture", label: "chart", text: "line chart", picture: { width: 6, height: 3, png: PNG } },
      { kind: "record", label: "empty", parts: [] },
    ],
    more: "2 more",
  });
  expect(texts(".rlm-record > dl > .rlm-pair > dt")).toEqual(["sure", "weeks", "why", "chart", "empty"]);
  expect(texts(".rlm-inline")).toEqual(["9, 10"]);
  expect(texts(".rlm-list li")).toEqual(["it leaks"]);
  const image = page.find<HTMLImageElement>(".rlm-card img");
  expect([image.alt, image.src]).toEqual(["line chart", `data:image/png;base64,${PNG}`]);
  expect(texts("[data-stacked] > dt")).toEqual(["why", "chart"]);
  expect(texts(".rlm-more")).toEqual(["… 2 more"]);
});

it("says that there is no answer, or a part of one, and why", async () => {
  await draw(null, { title: "No answer", error: "NoAnswerError: none" }, { status: "failed" });
  expect(texts(".rlm-card-title")).toEqual(["No answer"]);
  expect(texts(".rlm-card-error")).toEqual(["NoAnswerError: none"]);
  expect(page.button("Pull the answer")).toBeUndefined();
  expect(page.find(".rlm-card").dataset.state).toBe("failed");
});

it("pulls the answer under the name that it tells", async () => {
  await draw({ kind: "table", columns: [], rows: [] });
  page.button("Pull the answer")?.click();
  const sent = page.last("pull");
  expect(sent).toMatchObject({ agent: "0", name: "", overwrite: false });
  page.receive({ kind: "ok", request: sent.request });
  await frame();
  const name = (sent as unknown as { target: string }).target;
  expect(texts(".rlm-card-pulled")).toEqual([`now \`${name}\` in the notebook`]);
});

it("has no button for a number that it shows whole", async () => {
  await draw({ kind: "number", text: "6" });
  expect(page.button("Pull the answer")).toBeUndefined();
});

it("has a badge for the proof of the code, if there is one", async () => {
  await draw({ kind: "number", text: "6" });
  expect(page.find(".rlm-proof").hidden).toBe(true);
  page.receive({
    kind: "patch",
    seq: 2,
    run: { proof: { verdict: "reproduced", detail: "in 0.4 s", recorded: 0 } },
  });
  await frame();
  expect([page.find(".rlm-proof").textContent, page.find(".rlm-proof").title]).toEqual([
    "code reproduced",
    "in 0.4 s",
  ]);
});

describe("hostile text", () => {
  const KINDS: CardPart[] = [
    {
      kind: "text",
      blocks: ["paragraph", "heading", "item", "quote", "code"].map((kind) =>
        block(EVIL, { kind: kind as TextBlock["kind"] }),
      ),
    },
    {
      kind: "text",
      blocks: [
        block("", {
          text: [
            ["strong", EVIL],
            ["code", EVIL],
            ["emphasis", EVIL],
          ],
        }),
      ],
    },
    { kind: "number", text: EVIL, unit: EVIL },
    { kind: "plain", text: EVIL },
    {
      kind: "table",
      columns: [{ name: EVIL, number: true, index: false }],
      rows: [[EVIL]],
      shape: EVIL,
      more: EVIL,
    },
    { kind: "record", parts: [{ kind: "plain", label: EVIL, text: EVIL }], more: EVIL },
    { kind: "list", parts: [{ kind: "plain", text: EVIL }], more: EVIL },
    { kind: "picture", text: EVIL },
    { kind: "picture", text: EVIL, picture: { width: 1, height: 1, png: 'x" onerror="alert(1)' } },
    { kind: EVIL as "plain", text: EVIL },
  ];

  it.each(KINDS.map((part) => [part.kind, part] as const))("is text in a %s", async (_, part) => {
    const shown = await draw(part, {
      title: EVIL,
      error: EVIL,
      facts: [EVIL],
      seen: EVIL,
      assumptions: [EVIL],
    });
    expect([...shown.querySelectorAll("img, a, b, script, iframe")]).toEqual([]);
    expect(shown.textContent).toContain("<img src=x");
    expect(["\u202e", "\0"].filter((hidden) => shown.textContent.includes(hidden))).toEqual([]);
    for (const element of shown.querySelectorAll("*")) {
      for (const name of element.getAttributeNames()) expect(name).not.toMatch(/^on|href/);
    }
  });

  it("of any depth ends", async () => {
    let part: CardPart = { kind: "plain", text: "the end" };
    for (let depth = 0; depth < 5000; depth += 1) part = { kind: "list", parts: [part] };
    const shown = await draw({ kind: "list", parts: [part] });
    expect(shown.querySelectorAll("*").length).toBeLessThan(100);
  });
});

describe("samples", () => {
  const agreement = {
    text: "2 of 3 agree",
    state: "some" as const,
    why: `the sum ${EVIL}`,
    check: "8",
    table: {
      kind: "table" as const,
      columns: [
        { name: "where", number: false, index: true },
        { name: "samples 1, 3", number: false, index: false },
        { name: "sample 2", number: false, index: false },
      ],
      rows: [["supplier Acme", "8.0", EVIL]],
      shape: "1 difference",
    },
  };

  it("says how many agree, what the check has shown, and where the others differ", async () => {
    await draw({ kind: "number", text: "8" }, { agreement });
    expect(page.find(".rlm-agreement").dataset.state).toBe("some");
    expect(texts(".rlm-agreement-text")).toEqual(["2 of 3 agree"]);
    expect(texts(".rlm-agreement-why")[0]).toContain("(its check gave 8)");
    expect(texts(".rlm-agreement th")).toEqual(["where", "samples 1, 3", "sample 2", "supplier Acme"]);
    expect(page.all(".rlm-agreement img, .rlm-agreement b, .rlm-agreement a")).toEqual([]);
  });

  it("says nothing of them where there were none", async () => {
    await draw({ kind: "number", text: "8" });
    expect(page.find(".rlm-agreement").hidden).toBe(true);
  });
});
