// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, it } from "vitest";
import { agent, frame, Page } from "../helpers";

let page: Page;

const zoom = () => page.session.choices.zoom?.map((each) => Math.round(each * 10) / 10) ?? null;

/** The timeline of ten seconds, on an axis of 100 pixels that begins at 50. */
beforeEach(async () => {
  page = new Page();
  const done = { status: "done" as const, elapsed: 100 / 10.1 };
  page.snapshot([agent("0", done), agent("0.1", { status: "done", started: 1004, elapsed: 2 })], done);
  page.button("Timeline")?.click();
  await frame();
  const axis = page.find(".rlm-axis");
  axis.getBoundingClientRect = () => ({ left: 50, width: 100 }) as DOMRect;
});

afterEach(() => page.end());

function pointer(
  kind: string,
  x: number,
  target: Element = page.item("0.1").querySelector(".rlm-track") as Element,
) {
  const event = new MouseEvent(kind, { clientX: x, button: 0, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}

function drag(from: number, to: number): void {
  pointer("pointerdown", from);
  pointer("pointermove", (from + to) / 2);
  pointer("pointermove", to);
}

it("a drag zooms to what it went over, in either direction, and chooses no row", () => {
  drag(70, 90);
  expect(page.find(".rlm-band").hidden).toBe(false);
  expect(page.find(".rlm-band").textContent).toBe("2.0 s");
  pointer("pointerup", 90);
  pointer("click", 90);
  expect(zoom()).toEqual([2, 4]);
  expect(page.find(".rlm-band").hidden).toBe(true);
  expect(page.session.choices.selected).toBeNull();
});

it("a drag to the left and out of the lanes ends where the time does", () => {
  drag(80, -500);
  pointer("pointerup", -500);
  expect(zoom()).toEqual([0, 3]);
});

it("a click with an unsteady hand chooses the row", () => {
  drag(70, 72);
  pointer("pointerup", 72);
  pointer("click", 72);
  expect([zoom(), page.session.choices.selected]).toEqual([null, "0.1"]);
});

it("names and the tree are not dragged over", () => {
  pointer("pointerdown", 70, page.item("0").querySelector(".rlm-text") as Element);
  pointer("pointermove", 90);
  pointer("pointerup", 90);
  expect(zoom()).toBeNull();
});

it("Escape ends a drag, then the zoom; a double click shows all", async () => {
  drag(70, 90);
  pointer("pointerup", 90);
  await frame();
  drag(70, 90);
  expect(page.key("Escape", page.item("0")).defaultPrevented).toBe(true);
  pointer("pointerup", 90);
  expect(zoom()).toEqual([2, 4]);
  page.key("Escape", page.item("0"));
  expect(zoom()).toBeNull();
  expect(page.key("Escape", page.item("0")).defaultPrevented, "nothing is left to undo").toBe(false);
  page.key("+", page.item("0"));
  pointer("dblclick", 80);
  expect(zoom()).toBeNull();
});

it("by keyboard an agent's life is zoomed to, and the stretch moved", async () => {
  page.item("0.1").focus();
  page.key("z");
  expect(zoom()).toEqual([3.9, 6.1]);
  await frame();
  const pan = (key: string) =>
    page.item("0.1").dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey: true, bubbles: true }));
  pan("ArrowRight");
  expect(zoom()).toEqual([4.5, 6.7]);
  await frame();
  pan("ArrowLeft");
  expect(zoom()).toEqual([3.9, 6.1]);
});
