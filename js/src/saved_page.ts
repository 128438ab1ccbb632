/** A saved page: the widget over a run whose messages are data in the page. Nothing here talks to a kernel. */

import type { Agent, CodeText, Command, Detail, Incoming, PromptMessage, Run } from "./state/protocol";
import { Session } from "./state/session";
import { View } from "./tree/run_view";

/** What `rlm_jupyter/views/saved_page.py` writes into the page. */
export interface Saved {
  run: Partial<Run>;
  agents: Record<string, Partial<Agent>>;
  details: Record<string, Detail>;
  prompts: Record<string, PromptMessage[]>;
  /** Behind the answer, if there is some. */
  code?: CodeText;
}

type Question = Command & { request: string };

/** What the kernel would have answered. */
export function answer(saved: Saved, question: Question): Incoming {
  const { request } = question;
  switch (question.kind) {
    case "hello":
      return { kind: "snapshot", seq: 1, run: saved.run, agents: saved.agents };
    case "open": {
      const detail = own(saved.details, question.agent);
      if (detail) return { kind: "detail", request, agent: question.agent, detail };
      return refusal(request, `The page of agent ${question.agent} is not in this file.`);
    }
    case "prompt": {
      const messages = own(saved.prompts, question.agent);
      if (messages) return { kind: "prompt", request, agent: question.agent, messages };
      return refusal(request, `The prompt of agent ${question.agent} is not in this file.`);
    }
    case "code":
      if (saved.code) return { kind: "code", request, code: saved.code };
      return refusal(request, "The code behind the answer is not in this file.");
    default:
      return refusal(request, "This is a saved page: there is no kernel.");
  }
}

/** A property of the object itself: an agent's id is data, and may be `constructor`. */
function own<T>(record: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function refusal(request: string, message: string): Incoming {
  return { kind: "error", request, message };
}

/** A session whose kernel is the data in the page. */
export function sessionOf(saved: Saved): Session {
  const session: Session = new Session({
    // Later, as a kernel does: who asks has not noted yet that it waits.
    send: (question) => queueMicrotask(() => session.receive(answer(saved, question))),
    now: () => Date.now(),
    later: (action, milliseconds) => setTimeout(action, milliseconds),
  });
  session.offersCode = saved.code !== undefined;
  return session;
}

/** Shows the run in the page. */
export function start(page: Document): void {
  const host = page.getElementById("rlm-run");
  const data = page.getElementById("rlm-data")?.textContent;
  if (!host || !data) return;
  const session = sessionOf(JSON.parse(data) as Saved);
  host.replaceChildren(); // what readers without scripts are told
  new View(session).mount(host);
  session.hello();
}

/** Light or dark, as the reader's system is, also when that changes. */
export function followScheme(page: Document, dark: MediaQueryList): void {
  const set = () => page.documentElement.setAttribute("data-theme", dark.matches ? "dark" : "light");
  set();
  dark.addEventListener("change", set);
}
