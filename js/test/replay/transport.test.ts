// @vitest-environment happy-dom

import { afterEach, expect, it } from "vitest";
import { Player } from "../../src/replay/player";
import type { Incoming, Point, Replay } from "../../src/state/protocol";
import { View } from "../../src/tree/run_view";
import { agent, Desk, frame, RUN, rows } from "../helpers";

const EVENTS = 20;
const POINTS: Point[] = Array.from({ length: EVENTS + 1 }, (_, at) => [at, Math.max(0, at - 1), at * 2]);

function replay(position: number, more: Partial<Replay> = {}): Replay {
  return {
    ...{ position, events: EVENTS, seconds: position * 2, caption: `<b>caption ${position}</b>` },
    ...{ agent: "0", place: `agent 0, turn ${position}`, live: false, only: true, flow: null },
    ...more,
  };
}

class Stage {
  readonly desk = new Desk();
  seq = 1;
  readonly host = document.createElement("div");

  constructor(more: Partial<Replay> = {}) {
    document.body.append(this.host);
    new View(this.desk.session).mount(this.host);
    this.desk.session.receive({
      ...{ kind: "snapshot", seq: 1 },
      run: { ...RUN, replay: replay(EVENTS, more) },
      agents: rows(agent("0"), agent("0.1")),
    } as Incoming);
  }

  async outline(): Promise<void> {
    await frame();
    await frame();
    const asked = this.desk.sent.find(({ kind }) => kind === "outline");
    if (!asked) throw new Error("the outline was not asked for");
    const marks = [
      [1, "agent", "0"],
      [9, "error", "<i>0.1</i>"],
    ];
    this.desk.session.receive({
      ...{ kind: "outline", request: asked.request },
      outline: { events: EVENTS, points: POINTS, marks },
    } as Incoming);
    await frame();
    await frame();
  }

  get seeks() {
    return this.desk.sent.filter(({ kind }) => kind === "seek");
  }

  /** Answers the last seek as a kernel would. */
  async moveTo(position: number, more: { gone?: string[]; replay?: Partial<Replay> } = {}): Promise<void> {
    this.seq += 1;
    this.desk.session.receive({
      ...{ kind: "patch", seq: this.seq, run: { replay: replay(position, more.replay) }, agents: {} },
      ...(more.gone ? { gone: more.gone } : {}),
    } as Incoming);
    const request = this.seeks.at(-1)?.request;
    if (request) this.desk.session.receive({ kind: "ok", request });
    await frame();
    await frame();
  }

  find(selector: string): HTMLElement {
    return this.host.querySelector(selector) as HTMLElement;
  }

  press(target: HTMLElement, key: string): KeyboardEvent {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
    target.dispatchEvent(event);
    return event;
  }
}

afterEach(() => document.body.replaceChildren());

it("is there in a replay only, with what happens as text", async () => {
  const stage = new Stage();
  await stage.outline();
  expect(stage.find(".rlm-replay").hidden).toBe(false);
  expect(stage.find(".rlm-caption").textContent).toBe("<b>caption 20</b>");
  expect(stage.find(".rlm-caption").children.length).toBe(0);
  expect(stage.find(".rlm-marks [data-kind=error]").title).toBe("<i>0.1</i> error");
  expect(stage.find("input[type=range]").getAttribute("aria-valuetext")).toMatch(/^event 20 of 20, after 40/);
  stage.desk.session.receive({ kind: "patch", seq: 2, run: { replay: null }, agents: {} });
  await frame();
  await frame();
  expect(stage.find(".rlm-replay").hidden).toBe(true);
});

it("steps by keys from anywhere in its controls, and by brackets from the tree", async () => {
  const stage = new Stage();
  await stage.outline();
  const slider = stage.find("input[type=range]");
  const expected: [string, object][] = [
    ["ArrowLeft", { step: "event", back: true }],
    ["ArrowRight", { step: "event", back: false }],
    ["ArrowUp", { step: "turn", back: true }],
    ["ArrowDown", { step: "turn", back: false }],
    ["[", { step: "agent", back: true }],
    ["]", { step: "agent", back: false }],
    ["Home", { position: 0 }],
  ];
  for (const [key, wanted] of expected) {
    expect(stage.press(slider, key).defaultPrevented).toBe(true);
    expect(stage.seeks.at(-1)).toMatchObject(wanted);
  }
  const asked = stage.seeks.length;
  stage.press(stage.find("[role=treeitem]"), "[");
  expect(stage.seeks.length).toBe(asked + 1);
  stage.press(stage.find(".rlm-place"), "[");
  expect(stage.seeks.length, "typed into a field").toBe(asked + 1);
});

it("goes to a place that is typed, and says where there is none", async () => {
  const stage = new Stage();
  await stage.outline();
  const field = stage.find(".rlm-place") as HTMLInputElement;
  expect(field.value).toBe("agent 0, turn 20");
  field.value = "agent 0.9";
  field.dispatchEvent(new Event("input"));
  stage.desk.session.changed();
  await frame();
  await frame();
  expect(field.value, "is not taken from the reader's hands").toBe("agent 0.9");
  stage.press(field, "Enter");
  const asked = stage.seeks.at(-1);
  expect(asked).toMatchObject({ place: "agent 0.9" });
  stage.desk.session.receive({ kind: "error", request: asked?.request ?? "", message: "The run has no <i>" });
  await frame();
  await frame();
  expect(stage.find(".rlm-replay-error").textContent).toBe("The run has no <i>");
  expect(field.value).toBe("agent 0, turn 20");
});

it("takes agents away that had not begun, and nothing can be asked of kernels", async () => {
  const stage = new Stage({ only: false, live: true });
  await stage.outline();
  expect(stage.host.querySelectorAll("[role=treeitem]").length).toBe(2);
  stage.desk.session.select("0.1");
  await stage.moveTo(2, { gone: ["0.1"], replay: { only: false, live: true } });
  expect(stage.host.querySelectorAll("[role=treeitem]").length).toBe(1);
  expect(stage.desk.session.choices.selected).toBe("0");
  expect(stage.find(".rlm").hasAttribute("data-still")).toBe(true);
  const leave = [...stage.host.querySelectorAll("button")].find(
    (each) => each.textContent === "Back to live",
  );
  leave?.click();
  expect(Object.keys(stage.seeks.at(-1) ?? {}).sort()).toEqual(["kind", "request"]);
});

it("draws where the data goes when it is asked to", async () => {
  const stage = new Stage();
  await stage.outline();
  expect(stage.find(".rlm-flow").hidden).toBe(true);
  [...stage.host.querySelectorAll("button")].find((each) => each.textContent === "Explain")?.click();
  const flow = {
    ...{ agent: "0.1", parent: "0", context: "<table>", kernel_bytes: 31_000_000, variables: 2 },
    ...{ prompt_tokens: 1200, output_tokens: 90, received: 0, value: null },
  };
  await stage.moveTo(5, { replay: { flow } });
  expect(stage.find(".rlm-flow").hidden).toBe(false);
  expect(stage.find(".rlm-flow-kernel").textContent).toContain("31.0 MB<table> · 2 variables");
  expect(stage.find(".rlm-flow-prompt").textContent).toContain("1,200 tokens");
  expect(stage.find(".rlm-flow-up").textContent).toContain("Went up to 0nothing yet");
  await stage.moveTo(6, { replay: { flow: { ...flow, value: "int 3" } } });
  expect(stage.find(".rlm-flow-up").textContent).toContain("int 3");
});

it("plays at its speed, one request at a time, from the beginning when it is at its end", async () => {
  const stage = new Stage();
  await stage.outline();
  const { session } = stage.desk;
  const player = new Player(session);
  player.play(0);
  expect(stage.seeks.at(-1)).toMatchObject({ position: 1 });
  player.frame(200);
  expect(stage.seeks.length).toBe(1);
  await stage.moveTo(1);
  for (let now = 400; now <= 3000; now += 200) player.frame(now);
  expect(stage.seeks.at(-1)).toMatchObject({ position: 2 });
  expect(stage.seeks.length, "one at a time").toBe(2);
  await stage.moveTo(2);
  player.frame(3200);
  expect(stage.seeks.at(-1)).toMatchObject({ position: 4 });
  await stage.moveTo(4);
  player.speed = 20;
  player.frame(3400);
  expect(stage.seeks.at(-1)).toMatchObject({ position: 8 });
  await stage.moveTo(20);
  for (let now = 3600; now < 9000; now += 200) player.frame(now);
  expect(player.playing).toBe(false);
});
