// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, it } from "vitest";
import type { UserQuestion } from "../../src/state/protocol";
import { agent, frame, Page } from "../helpers";

let page: Page;

beforeEach(() => {
  page = new Page();
});

afterEach(() => page.end());

const CENTS: UserQuestion = {
  agent: "0",
  number: 1,
  question: "Is <b>revenue</b> in cents?",
  options: ["cents", "<i>euros</i>"],
  default: "cents",
  until: null,
};

async function ask(asked: UserQuestion | null, run = {}): Promise<void> {
  const { seq } = page.session.store;
  if (seq < 0) page.snapshot([agent("0", { activity: "question" })], { asked, ...run });
  else page.receive({ kind: "patch", seq: seq + 1, run: { asked, ...run } });
  await frame();
}

const box = () => page.find(".rlm-ask");
const options = () => page.all(".rlm-ask .rlm-option");
const answers = () => page.sent.filter((each) => each.kind === "answer");

it("offers a button for each option, and sends the number of the one that is clicked", async () => {
  await ask(CENTS);
  expect(box().hidden).toBe(false);
  expect(page.find(".rlm-ask-text").textContent).toBe("Is <b>revenue</b> in cents?");
  expect(options().map((each) => each.textContent)).toEqual(["cents", "<i>euros</i>"]);
  expect(page.find(".rlm-ask-note").textContent).toBe("Without an answer: cents");
  options()[1]?.click();
  options()[0]?.click();
  expect(answers()).toEqual([
    expect.objectContaining({ kind: "answer", agent: "0", number: 1, option: 1, text: null }),
  ]);
});

it("takes a text where there are no options, by Enter or the button, and none that is empty", async () => {
  await ask({ ...CENTS, options: [] });
  const field = page.find(".rlm-ask input") as HTMLInputElement;
  const send = page.find(".rlm-ask .rlm-primary") as HTMLButtonElement;
  send.click();
  expect(answers()).toEqual([]);
  field.value = " in cents ";
  field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  expect(answers()).toEqual([expect.objectContaining({ number: 1, option: null, text: "in cents" })]);
  await ask({ ...CENTS, options: [], number: 2, question: "And costs?" });
  expect(field.value).toBe("");
});

it("goes when the answer is there, and is not shown of an earlier moment or a file", async () => {
  await ask(CENTS);
  await ask(null);
  expect(box().hidden).toBe(true);
  await ask(CENTS, { saved: "all" });
  expect(box().hidden).toBe(true);
  await ask(CENTS, { status: "done" });
  expect(box().hidden).toBe(true);
});

it("says how long it waits, and that clicks come too late where they do", async () => {
  await ask({ ...CENTS, until: page.session.now() + 65 }, { clicks: false });
  expect(page.find(".rlm-ask-note").textContent).toMatch(
    /^Without an answer in 1:0[45]: cents; clicks arrive only/,
  );
});
