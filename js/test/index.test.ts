// @vitest-environment happy-dom

import { afterEach, expect, it } from "vitest";
import factory from "../src/index";
import { agent, frame, RUN, rows } from "./helpers";

type Handler = (message: unknown) => void;

class Model {
  readonly sent: { kind: string }[] = [];
  readonly handlers: Handler[] = [];
  readonly send = (message: { kind: string }) => this.sent.push(message);

  readonly closings: (() => void)[] = [];

  on(event: string, handler: Handler): void {
    if (event === "comm_live_update") this.closings.push(handler as unknown as () => void);
    else {
      expect(event).toBe("msg:custom");
      this.handlers.push(handler);
    }
  }

  set(): never {
    throw new Error("traits must never be written from here");
  }

  save_changes(): never {
    throw new Error("traits must never be written from here");
  }

  snapshot(seq = 1): void {
    const message = {
      kind: "snapshot",
      seq,
      run: { ...RUN, id: 'r"1' },
      agents: rows(agent("0"), agent("0.1")),
    };
    for (const handler of this.handlers) handler(structuredClone(message));
  }
}

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
  expect(document.head.querySelector("style")).toBeNull();
  expect(document.body.childElementCount).toBe(0);
});

function host(): HTMLElement {
  const element = document.createElement("div");
  document.body.append(element);
  ends.push(() => element.remove());
  return element;
}

async function start(signals: boolean) {
  const model = new Model();
  const widget = factory();
  const controller = new AbortController();
  const base = signals ? { model, signal: controller.signal } : { model };
  await widget.initialize(base as never);
  const render = async (el: HTMLElement) => {
    const end = (await widget.render({ ...base, el } as never)) as () => void;
    ends.push(end);
    return end;
  };
  return { model, controller, render };
}

it.each([true, false])(
  "says hello on every render (signals: %s), and keeps what was folded between views",
  async (signals) => {
    const { model, render } = await start(signals);
    const first = host();
    const end = await render(first);
    model.snapshot();
    await frame();
    first.querySelector<HTMLElement>(".rlm-twisty")?.click();
    await frame();
    expect(first.querySelectorAll('[role="treeitem"]')).toHaveLength(1);
    end();
    expect(first.childElementCount).toBe(0);
    const second = host();
    await render(second);
    await frame();
    expect(second.querySelectorAll('[role="treeitem"]')).toHaveLength(1);
    expect(model.sent.filter((each) => each.kind === "hello")).toHaveLength(2);
    expect(model.handlers).toHaveLength(1);
  },
);

it("hides the static tree of its run while it lives", async () => {
  const { model, controller, render } = await start(true);
  await render(host());
  model.snapshot();
  await frame();
  expect(document.head.querySelector("style")?.textContent).toBe(
    '.rlm-static[data-run="r\\"1"]{display:none}',
  );
  controller.abort();
  expect(document.head.querySelector("style")).toBeNull();
});

it("says that the kernel is gone when its connection is closed, until something arrives", async () => {
  const { model, render } = await start(true);
  const element = host();
  await render(element);
  model.snapshot();
  await frame();
  expect(element.textContent).not.toContain("restarted or shut down");
  const asked = model.sent.length;
  for (const closing of model.closings) closing();
  await frame();
  expect(element.textContent).toContain("The kernel was restarted or shut down");
  expect(model.sent.slice(asked).map((message) => message.kind)).toContain("hello");
  model.snapshot(2);
  await frame();
  expect(element.textContent).not.toContain("restarted or shut down");
});

it("two views show the same state", async () => {
  const { model, render } = await start(true);
  const [left, right] = [host(), host()];
  await render(left);
  await render(right);
  model.snapshot();
  await frame();
  expect([left, right].map((each) => each.querySelectorAll('[role="treeitem"]').length)).toEqual([2, 2]);
});
