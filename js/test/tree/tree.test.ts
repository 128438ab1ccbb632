// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { agent, frame, ids, Page } from "../helpers";

let page: Page;

beforeEach(() => {
  page = new Page();
});

afterEach(() => page.end());

async function show(...agents: ReturnType<typeof agent>[]): Promise<void> {
  page.snapshot(agents);
  await frame();
}

/** The accessible name: the text that is not hidden from it. */
function spoken(item: HTMLElement): string {
  const copy = item.cloneNode(true) as HTMLElement;
  for (const hidden of copy.querySelectorAll('[aria-hidden="true"]')) hidden.remove();
  return [...copy.querySelectorAll("span")]
    .filter((each) => each.childElementCount === 0)
    .map((each) => each.textContent)
    .filter((text) => text !== "")
    .join(" ");
}

describe("rows", () => {
  it("are treeitems in one tree named after the question", async () => {
    await show(agent("0"), agent("0.1", { name: "count" }), agent("0.1.1"), agent("0.2"));
    const trees = page.all('[role="tree"]');
    expect(trees.map((tree) => tree.getAttribute("aria-label"))).toEqual(["Which supplier?"]);
    expect(page.names()).toEqual(["0", "0.1", "0.1.1", "0.2"]);
    const item = page.item("0.1");
    expect(spoken(item)).toBe("0.1 count running, 0 turns, cost unknown");
    expect(
      ["level", "posinset", "setsize", "expanded", "selected"].map((name) =>
        item.getAttribute(`aria-${name}`),
      ),
    ).toEqual(["2", "1", "2", "true", "false"]);
    expect(page.item("0.2").hasAttribute("aria-expanded")).toBe(false);
  });

  it("change in place: an element stays the same element", async () => {
    await show(agent("0"), agent("0.1", { cost: 0.1, cost_total: 0.1 }));
    const before = page.item("0.1");
    page.receive({
      kind: "patch",
      seq: 2,
      agents: { "0.1": { status: "done", cost_total: 0.25 }, "0.2": agent("0.2") },
    });
    await frame();
    expect(page.item("0.1")).toBe(before);
    expect(before.getAttribute("data-state")).toBe("done");
    expect(before.textContent).toContain("$0.2500");
    expect(page.names()).toEqual(["0", "0.1", "0.2"]);
  });

  it("show an unknown cost as unknown", async () => {
    await show(agent("0"));
    expect(page.item("0").querySelector(".rlm-c-spend")?.textContent).toBe("?");
  });

  it("of an agent whose prompt is read say how long that takes, to the eye and to a screen reader", async () => {
    const wait = "reading about 1,700 tokens: about 68 s at 25 a second";
    await show(agent("0", { activity: "reading", wait }));
    const row = page.item("0");
    expect(spoken(row)).toContain(`${wait}, 0 turns`);
    expect(row.querySelector(".rlm-c-state")?.textContent).toBe("reading");
    expect(row.querySelector<HTMLElement>(".rlm-c-state")?.title).toBe(wait);
    page.receive({ kind: "patch", seq: 2, agents: { "0": { activity: "model", wait: null } } });
    await frame();
    expect(spoken(row)).toContain("waiting for model, 0 turns");
  });

  it("have bars for their share of the money, or of the tokens where nothing is paid", async () => {
    const bars = (id: string) =>
      ["own", "below"].map((kind) => page.item(id).querySelector<HTMLElement>(`.rlm-${kind}`)?.style.width);
    page.snapshot([agent("0", { cost: 0.25, cost_total: 1 }), agent("0.1", { cost_total: 0.75 })], {
      cost: 1,
    });
    await frame();
    expect([bars("0"), bars("0.1")]).toEqual([
      ["25%", "75%"],
      ["75%", "0%"],
    ]);
    page.snapshot(
      [agent("0", { cost: 0, input_tokens: 30 })],
      { cost: 0, input_tokens: 30, output_tokens: 30 },
      2,
    );
    await frame();
    expect(bars("0")).toEqual(["50%", "0%"]);
  });

  it("of ten thousand agents are few elements, with their true places", async () => {
    await show(agent("0"), ...ids("0", 10_000).map((id) => agent(id, { status: "done" })));
    expect(page.names()).toEqual(["0", "0/*"]);
    expect(spoken(page.item("0/*"))).toBe("10,000 agents 10,000 done");
    page.item("0/*").click();
    await frame();
    expect(page.items().length).toBeLessThan(80);
    expect(page.find(".rlm-canvas").style.height).toBe(`${10_002 * 26}px`);
    page.find(".rlm-scroll").scrollTop = 5000 * 26;
    page.find(".rlm-scroll").dispatchEvent(new Event("scroll"));
    await frame();
    const item = page.item("0.5000");
    expect([item.getAttribute("aria-posinset"), item.getAttribute("aria-setsize")]).toEqual([
      "5000",
      "10000",
    ]);
    expect(item.style.transform).toBe(`translateY(${5001 * 26}px)`);
    // The row with the keyboard stays.
    expect(page.names()[0]).toBe("0/*");
  });

  it("of a batch have a histogram with a part for each state that occurs", async () => {
    const batch = ids("0", 20).map((id, at) =>
      agent(id, { status: at < 15 ? "done" : at < 18 ? "running" : "failed" }),
    );
    await show(agent("0"), ...batch);
    const parts = [...page.item("0/*").querySelectorAll<HTMLElement>(".rlm-histogram i")];
    expect(parts.filter((part) => !part.hidden).map((part) => part.dataset.state)).toEqual([
      "done",
      "running",
      "failed",
    ]);
    expect(page.item("0/*").textContent).toContain("20 agents15 done · 3 running · 2 failed");
  });
});

describe("the keyboard", () => {
  beforeEach(async () => {
    await show(agent("0"), agent("0.1", { name: "alpha" }), agent("0.1.1"), agent("0.2", { name: "beta" }));
    page.item("0").focus();
  });

  const focused = () => (document.activeElement as HTMLElement | null)?.dataset.key;

  it.each([
    [["ArrowDown"], "0.1"],
    [["ArrowDown", "ArrowDown", "ArrowUp"], "0.1"],
    [["ArrowUp"], "0"],
    [["End"], "0.2"],
    [["End", "Home"], "0"],
    [["ArrowRight"], "0.1"],
    [["ArrowDown", "ArrowLeft", "ArrowDown"], "0.2"],
    [["End", "ArrowLeft"], "0"],
    [["b"], "0.2"],
    [["0", ".", "1"], "0.1"],
    [["PageDown"], "0.1"],
  ])("%j ends at %s", async (keys, at) => {
    for (const key of keys) {
      page.key(key);
      await frame();
    }
    expect(focused()).toBe(at);
  });

  it("closes and opens, and * opens all siblings", async () => {
    page.key("ArrowLeft");
    await frame();
    expect(page.names()).toEqual(["0"]);
    page.key("*");
    await frame();
    expect(page.names()).toHaveLength(4);
  });

  it("has exactly one tab stop", async () => {
    page.key("End");
    await frame();
    expect(
      page
        .items()
        .filter((item) => item.tabIndex === 0)
        .map((item) => item.dataset.key),
    ).toEqual(["0.2"]);
  });

  it("keeps its keys from JupyterLab, and leaves it the others", () => {
    const seen: string[] = [];
    const listen = (event: KeyboardEvent) => seen.push(event.key);
    document.body.addEventListener("keydown", listen);
    for (const key of ["ArrowDown", "s", "p", "Enter", "Escape", "F5"]) page.key(key, page.item("0"));
    document.body.removeEventListener("keydown", listen);
    expect(seen).toEqual(["Escape", "F5"]);
  });

  it("opens an agent's page with Enter and moves there; Escape comes back", async () => {
    page.key("ArrowDown");
    await frame();
    page.key("Enter");
    expect(page.last("open")).toMatchObject({ agent: "0.1" });
    expect((document.activeElement as HTMLElement).textContent).toBe("alpha");
    page.key("Escape");
    await frame();
    expect(focused()).toBe("0.1");
    expect(page.find(".rlm-panel").hidden).toBe(true);
  });

  it("takes the open page along", async () => {
    page.key(" ");
    page.key("ArrowDown");
    await frame();
    expect(page.session.choices.selected).toBe("0.1");
    expect(page.item("0.1").getAttribute("aria-selected")).toBe("true");
  });

  it("goes to Stop with s and to the name of a pull with p", async () => {
    page.key("End");
    await frame();
    await vi.waitFor(() => {
      page.key("s", page.item("0.2")); // its page may take more than a frame on a busy machine
      expect((document.activeElement as HTMLElement).title).toBe("Stop this agent and its sub-agents");
    });
    page.answer({ variables: [{ name: "counts" }] });
    await frame();
    await vi.waitFor(() => {
      page.key("p", page.item("0.2"));
      expect((document.activeElement as HTMLElement).getAttribute("aria-label")).toBe("Pull as");
    });
  });
});

describe("the pointer", () => {
  it("opens a page on a row, and folds on the arrow", async () => {
    await show(agent("0"), agent("0.1"));
    page.item("0").querySelector<HTMLElement>(".rlm-twisty")?.click();
    await frame();
    expect(page.names()).toEqual(["0"]);
    expect(page.session.choices.selected).toBeNull();
    page.item("0").click();
    expect(page.session.choices.selected).toBe("0");
  });
});

describe("the timeline", () => {
  it("shows the same rows with lanes, ticks and the critical path", async () => {
    const spans = [["model", 1000, 1001] as const, ["code", 1001, 1001.5] as const];
    page.snapshot([agent("0", { status: "done", elapsed: 2, spans: spans.map((each) => [...each]) })], {
      status: "done",
      elapsed: 2,
    });
    page.button("Timeline")?.click();
    await frame();
    expect(page.button("Timeline")?.getAttribute("aria-selected")).toBe("true");
    const bars = [...page.item("0").querySelectorAll<HTMLElement>(".rlm-bar")];
    expect(bars.map((bar) => bar.className.split("-").at(-1))).toEqual(["wait", "model", "code", "path"]);
    expect(bars[1]?.style.width).toBe("49.5%");
    expect(bars[1]?.title).toBe("model 1.0 s, from 0.00 s");
    expect(page.all(".rlm-tick").length).toBeGreaterThan(2);
  });

  it("zooms by buttons and keys, and fits again", async () => {
    page.snapshot([agent("0", { status: "done", elapsed: 10 })], { status: "done", elapsed: 10 });
    page.button("Timeline")?.click();
    await frame();
    page.button("Zoom in")?.click();
    await frame();
    const [from, to] = page.session.choices.zoom ?? [0, 0];
    expect(to - from).toBeCloseTo(10.1 / 1.6);
    page.key("0", page.item("0"));
    expect(page.session.choices.zoom).toBeNull();
    page.key("+", page.item("0"));
    expect(page.session.choices.zoom).not.toBeNull();
    page.button("Fit the whole run")?.click();
    expect(page.session.choices.zoom).toBeNull();
  });
});
