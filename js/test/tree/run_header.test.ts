// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, it } from "vitest";
import type { Places } from "../../src/state/protocol";
import { agent, frame, Page } from "../helpers";

let page: Page;

beforeEach(() => {
  page = new Page();
});

afterEach(() => page.end());

async function show(run = {}): Promise<void> {
  page.snapshot([agent("0")], run);
  await frame();
}

const facts = () =>
  Object.fromEntries(
    page
      .all(".rlm-fact")
      .filter((each) => !each.hidden)
      .map((each) => [
        each.querySelector(".rlm-label")?.textContent,
        `${each.querySelector(".rlm-value")?.textContent} ${each.querySelector<HTMLElement>(".rlm-limit:not([hidden])")?.textContent ?? ""}`.trim(),
      ]),
  );

it("tells spend against its limits", async () => {
  await show({
    elapsed: 12,
    cost: 0.0421,
    cost_limit: 1,
    input_tokens: 40_000,
    output_tokens: 1200,
    token_limit: 200_000,
    calls: 12,
    agents: 7,
    depth: 2,
    in_flight: 3,
    model: "openai/gpt-5",
    sub_model: "gpt-5-mini",
  });
  expect(facts()).toEqual({
    Time: "12 s",
    Cost: "$0.0421 / $1.00",
    Tokens: "41.2k / 200k",
    Calls: "12",
    Agents: "7 · depth 2",
    "In flight": "3",
    Model: "gpt-5 + gpt-5-mini",
  });
  const meter = page.find('[role="meter"][aria-label="Cost"]');
  expect([meter.getAttribute("aria-valuenow"), meter.getAttribute("aria-valuemax")]).toEqual(["0.0421", "1"]);
});

it("tells how much data was sent and what is hidden, where either is set", async () => {
  await show({ data_tokens: 1234 });
  expect(facts()).not.toHaveProperty("Data sent");
  expect(facts()).not.toHaveProperty("Hidden");
  page.receive({
    kind: "patch",
    seq: page.session.store.seq + 1,
    run: { data_tokens: 1234, exposure_limit: 2000, hidden: ["email", "<b>pay"] },
  });
  await frame();
  expect(facts()["Data sent"]).toBe("1,234 / 2,000");
  expect(facts().Hidden).toBe("email, <b>pay");
  expect(page.find('[role="meter"][aria-label="Data sent"]').getAttribute("aria-valuenow")).toBe("1234");
});

it("tells where the values of the run are, where that is known", async () => {
  await show();
  expect(facts()).not.toHaveProperty("Values");
  const told = async (values: Places) => {
    page.receive({ kind: "patch", seq: page.session.store.seq + 1, run: { values } });
    await frame();
    return facts().Values;
  };
  expect(await told({ memory: 1_200_000_000, disk: 300_000_000, shared: 0, limit: 2_000_000_000 })).toBe(
    "1.2 GB · 300.0 MB on disk",
  );
  expect(page.find('.rlm-fact[title^="Above 2.0 GB"]')).toBeDefined();
  expect(await told({ disk: null, shared: 5000 })).toBe("0 B · 5.0 kB shared");
  expect(await told({ memory: 0, disk: 0, shared: 0, limit: null })).toBeUndefined();
});

it("is not shown beside the static tree of its output as long as no kernel answers", async () => {
  const area = document.createElement("div");
  area.className = "jp-OutputArea";
  area.append(page.host);
  document.body.append(area);
  await frame();
  expect(page.find(".rlm").hidden, "alone it says that it waits").toBe(false);
  const kept = document.createElement("div");
  kept.className = "rlm-static";
  area.append(kept);
  page.session.changed();
  await frame();
  expect(page.find(".rlm").hidden).toBe(true);
  await show();
  expect(page.find(".rlm").hidden).toBe(false);
  area.remove();
});

it("says that a cost is unknown", async () => {
  await show({ cost: null, scripted: true });
  expect(page.find(".rlm-scripted").hidden).toBe(false);
  expect(facts().Cost).toBe("unknown");
});

it("shows how little of the data the model has seen", async () => {
  await show({ context_bytes: 48_000_000, context_summary: "DataFrame 1,000,000 × 6", seen_tokens: 3412 });
  expect(page.find(".rlm-seen").textContent).toBe(
    "context: DataFrame 1,000,000 × 6 · 48.0 MBseen by the model: 3,412 tokens (about 0.028 % of the data)",
  );
});

it("Stop stops the run, and waits for the answer", async () => {
  await show();
  page.button("Stop")?.click();
  await frame();
  expect(page.last("stop")).toMatchObject({ agent: null });
  expect(page.button("Stop")?.hasAttribute("data-pending")).toBe(true);
  page.receive({ kind: "patch", seq: 2, run: { status: "stopped" } });
  await frame();
  expect(page.button("Stop")).toBeUndefined();
  expect(page.find(".rlm-live").textContent).toBe("Run stopped");
});

it("pauses and resumes", async () => {
  await show();
  page.button("Pause")?.click();
  expect(page.last("pause")).toBeTruthy();
  page.receive({ kind: "patch", seq: 2, run: { paused: true } });
  await frame();
  expect(page.find(".rlm-badge").textContent).toBe("paused");
  page.button("Resume")?.click();
  expect(page.last("resume")).toBeTruthy();
});

it("raises a limit while the run lasts", async () => {
  await show({ cost: 0.9, cost_limit: 1 });
  page.button("/ $1.00")?.click();
  const field = page.find<HTMLInputElement>('[aria-label="New limit: cost"]');
  expect(field.value).toBe("2");
  const form = field.closest("form");
  field.value = "none";
  form?.dispatchEvent(new Event("submit", { cancelable: true }));
  expect([page.count("limit"), field.getAttribute("aria-invalid")]).toEqual([0, "true"]);
  field.value = "$2.50";
  form?.dispatchEvent(new Event("submit", { cancelable: true }));
  expect(page.last("limit")).toMatchObject({ name: "cost", value: 2.5 });
});

it("says once where clicks wait, and points to the way out", async () => {
  await show({ clicks: false });
  const notes = page.all(".rlm-notes li").map((each) => each.textContent);
  expect(notes.filter((note) => note?.includes("Interrupt") && note.includes("--bg"))).toHaveLength(1);
  expect(page.button("Pause")).toBeUndefined();
});

it.each([
  [{ type: "str", preview: "Norrland,\nsince September" }, "Answer: Norrland, since September"],
  [{ type: "dict", preview: "since: 2025" }, "Answer: dict of 1 key · since: 2025"],
  [{ type: "DataFrame" }, "Answer: dict of 1 key"],
])("quotes the answer from the root's page: %o", async (value, text) => {
  page.snapshot([agent("0", { status: "done", value: "dict of 1 key" })], {
    status: "done",
    value: "dict of 1 key",
  });
  page.answer({ value });
  await frame();
  expect(page.find(".rlm-result").textContent).toBe(text);
  expect(page.count("open")).toBe(1);
});

it.each([
  [{ status: "done", value: "Norrland", provenance: "scripted demo" }, "Answer: Norrland", "done"],
  [{ status: "failed", error: "RLMError: <b>no</b>" }, "RLMError: <b>no</b>", "failed"],
])("ends with the answer or the error: %o", async (run, text, state) => {
  await show(run);
  const result = page.find(".rlm-result");
  expect([result.textContent, result.dataset.state]).toEqual([text, state]);
  expect(page.all(".rlm-notes li").map((each) => each.textContent)).toEqual(
    "provenance" in run ? [run.provenance] : [],
  );
});
