// @vitest-environment happy-dom

import { afterEach, expect, it } from "vitest";
import { followScheme, type Saved, SavedKernel, start } from "../src/saved_page";
import { agent, detail, frame, RUN, rows } from "./helpers";

const CODE = "total = context['price'].sum()";

function saved(run: Saved["run"] = {}): Saved {
  const turn = {
    ...{
      turn: 1,
      sent_chars: 9,
      reply: `I add.\n\n\`\`\`repl\n${CODE}\n\`\`\``,
      shortened: 12,
      streaming: false,
    },
    ...{ input_tokens: 1, output_tokens: 1, cost: 0.1, model: "m", finish_reason: "stop", cached: false },
    ...{ estimated: false, started: 1, seconds: 1, error: null, tool_calls: [], tools_called: 0 },
    cells: [
      {
        cell: 1,
        code: CODE,
        output: "12",
        cut: 0,
        status: "ok" as const,
        error: null,
        seconds: 0.1,
        pictures: [],
      },
    ],
  };
  const failed = { status: "failed" as const, error: "no", elapsed: 2 };
  return {
    run: { ...RUN, status: "done", saved: "all", cost: 0.1, cost_limit: 1, ...run },
    agents: rows(agent("0", { status: "done" }), agent("0.1", failed), agent("0.2", failed)),
    details: {
      "0": detail({ turns: [turn], cut: { turns: 3 } }),
      "0.1": detail({ question: "why", variables: [{ name: "part", type: "int", summary: "int 3" }] }),
    },
    prompts: { "0": [{ role: "user", content: "the prompt" }] },
  };
}

afterEach(() => {
  document.body.replaceChildren();
  document.documentElement.removeAttribute("data-theme");
});

async function open(run: Saved["run"] = {}): Promise<HTMLElement> {
  const host = document.createElement("div");
  host.id = "rlm-run";
  const data = document.createElement("script");
  data.type = "application/json";
  data.id = "rlm-data";
  data.textContent = JSON.stringify(saved(run));
  document.body.append(host, data);
  start(document);
  await frame();
  await frame();
  return host;
}

async function choose(host: HTMLElement, id: string): Promise<HTMLElement> {
  host.querySelector<HTMLElement>(`[data-key="${id}"]`)?.click();
  await frame();
  await frame();
  return host.querySelector<HTMLElement>(".rlm-panel") as HTMLElement;
}

/** The names of the buttons that are not hidden by an attribute; style sheets are the browser tests' subject. */
function buttons(part: HTMLElement): string[] {
  return [...part.querySelectorAll("button")]
    .filter((each) => !each.closest("[hidden]"))
    .map((each) => each.getAttribute("aria-label") ?? each.textContent ?? "");
}

it("shows the tree, an agent's code and its prompt from the data in the page", async () => {
  const host = await open();
  expect(host.querySelectorAll('[role="treeitem"]')).toHaveLength(3);
  const panel = await choose(host, "0");
  expect(panel.textContent).toContain(CODE);
  expect(panel.textContent).toContain("3 turns left out of this file");
  [...panel.querySelectorAll("button")].find((each) => each.textContent === "Prompt")?.click();
  await frame();
  await frame();
  expect(panel.textContent).toContain("the prompt");
});

it("offers no command that needs a kernel", async () => {
  const host = await open({ status: "running" });
  expect(host.querySelector(".rlm")?.getAttribute("data-saved")).toBe("all");
  const panel = await choose(host, "0.1");
  expect(buttons(panel)).not.toContain("Retry");
  expect(buttons(panel)).not.toContain("Stop");
  expect(host.querySelector<HTMLButtonElement>(".rlm-limit")?.disabled).toBe(true);
  for (const key of ["p", "s"]) {
    const row = host.querySelector<HTMLElement>('[data-key="0.1"]');
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
    // At once after the page was opened, when no letter was typed before.
    Object.defineProperty(event, "timeStamp", { value: 5 });
    row?.dispatchEvent(event);
    await frame();
    expect(document.activeElement?.tagName).toBe("H3");
  }
});

it("has no prompts to show at the lower levels", async () => {
  const panel = await choose(await open({ saved: "redacted" }), "0");
  expect(buttons(panel)).not.toContain("Prompt");
});

it("says so if an agent's page was left out", async () => {
  const panel = await choose(await open(), "0.2");
  expect(panel.textContent).toContain("The page of agent 0.2 is not in this file.");
  expect(panel.querySelector<HTMLElement>(".rlm-empty")?.hidden).toBe(true);
});

it("lets the clocks of a run stand still that was saved while it went on", async () => {
  const host = await open({ status: "running", started: 1000, elapsed: 12 });
  expect(host.querySelector(".rlm-facts")?.textContent).toContain("Time12");
});

it("answers every question, and names from data are no names of JavaScript", () => {
  const ask = (kind: "open" | "prompt" | "stop", id: string) =>
    new SavedKernel(saved()).answer({ kind, agent: id, request: "r" })[0];
  expect(ask("open", "constructor")).toMatchObject({ kind: "error", request: "r" });
  expect(ask("prompt", "__proto__")).toMatchObject({ kind: "error" });
  expect(ask("stop", "0")).toMatchObject({ kind: "error", message: expect.stringContaining("no kernel") });
});

it("follows the reader's colour scheme", () => {
  const listeners: (() => void)[] = [];
  const dark = {
    matches: true,
    addEventListener: (_: string, listener: () => void) => listeners.push(listener),
  };
  followScheme(document, dark as unknown as MediaQueryList);
  expect(document.documentElement.dataset.theme).toBe("dark");
  dark.matches = false;
  for (const listener of listeners) listener();
  expect(document.documentElement.dataset.theme).toBe("light");
});
