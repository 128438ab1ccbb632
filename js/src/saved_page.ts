/** A saved page: the widget over a run whose messages are data in the page. Nothing here talks to a kernel. */

import { SavedMoments, type SavedReplay } from "./replay/saved_moments";
import type { Agent, CodeText, Command, Detail, Incoming, PromptMessage, Run } from "./state/protocol";
import { Session } from "./state/session";
import { View } from "./tree/run_view";

/** What `rlm_jupyter/views/saved_page.py` writes into the page. */
export interface Saved {
  run: Partial<Run>;
  agents: Record<string, Partial<Agent>>;
  details: Record<string, Detail>;
  prompts: Record<string, PromptMessage[]>;
  replay?: SavedReplay | null;
  /** Behind the answer, if there is some. */
  code?: CodeText;
}

type Question = Command & { request: string };

/** Answers as the kernel would have. */
export class SavedKernel {
  readonly #moments: SavedMoments | null;
  /** The rows that the page has: those of the last moment are compared with them. */
  #told: ReadonlyMap<string, Agent> = new Map();
  #seq = 1;

  constructor(private readonly saved: Saved) {
    this.#moments = saved.replay ? new SavedMoments(saved.replay, saved.run.saved ?? "all") : null;
  }

  answer(question: Question): Incoming[] {
    const { request } = question;
    switch (question.kind) {
      case "hello":
        return [this.#snapshot()];
      case "open": {
        const detail = this.#detail(question.agent);
        if (detail) return [{ kind: "detail", request, agent: question.agent, detail }];
        return [refusal(request, `The page of agent ${question.agent} ${this.#missing()}`)];
      }
      case "prompt": {
        const messages = this.#prompt(question.agent);
        if (messages) return [{ kind: "prompt", request, agent: question.agent, messages }];
        return [refusal(request, `The prompt of agent ${question.agent} ${this.#missing()}`)];
      }
      case "seek":
        return this.#seek(question, request);
      case "outline":
        if (this.saved.replay) return [{ kind: "outline", request, outline: this.saved.replay.outline }];
        return [refusal(request, "This file has no replay.")];
      case "code":
        if (this.saved.code) return [{ kind: "code", request, code: this.saved.code }];
        return [refusal(request, "The code behind the answer is not in this file.")];
      default:
        return [refusal(request, "This is a saved page: there is no kernel.")];
    }
  }

  /** At its end a run is shown as without a replay: all of it is in the file. */
  get #atEnd(): boolean {
    const moments = this.#moments;
    return moments === null || moments.position >= (this.saved.replay?.outline.events ?? 0);
  }

  #missing(): string {
    return `${this.#atEnd ? "" : "at this moment "}is not in this file.`;
  }

  #detail(agent: string): Detail | undefined {
    return this.#atEnd ? own(this.saved.details, agent) : this.#moments?.detail(agent);
  }

  #prompt(agent: string): PromptMessage[] | undefined {
    return this.#atEnd ? own(this.saved.prompts, agent) : this.#moments?.prompt(agent);
  }

  #snapshot(): Incoming {
    const replay = this.#moments?.run.replay ?? null;
    const run = { ...this.saved.run, replay };
    if (this.#moments) this.#told = new Map(this.#moments.agents);
    const agents = { ...this.saved.agents };
    if (this.#moments)
      for (const [id, row] of this.#moments.agents) if (Object.hasOwn(agents, id)) agents[id] = row;
    return { kind: "snapshot", seq: this.#seq, run, agents };
  }

  #seek(question: Extract<Question, { kind: "seek" }>, request: string): Incoming[] {
    const moments = this.#moments;
    if (moments === null) return [refusal(request, "This file has no replay.")];
    try {
      moments.seek(question);
    } catch (error) {
      return [refusal(request, error instanceof Error ? error.message : String(error))];
    }
    const changed = [...moments.agents].filter(
      ([id, row]) => this.#told.get(id) !== row && Object.hasOwn(this.saved.agents, id),
    );
    const agents = Object.fromEntries(changed);
    const gone = [...this.#told.keys()].filter(
      (id) => !moments.agents.has(id) && Object.hasOwn(this.saved.agents, id),
    );
    this.#told = new Map(moments.agents);
    this.#seq += 1;
    const { notices } = this.saved.run;
    const run = { ...moments.run, ...(notices && this.#atEnd ? { notices } : {}) };
    return [
      { kind: "patch", seq: this.#seq, run, agents, gone },
      { kind: "ok", request },
    ];
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
  const kernel = new SavedKernel(saved);
  const session: Session = new Session({
    // Later, as a kernel does: who asks has not noted yet that it waits.
    send: (question) =>
      queueMicrotask(() => {
        for (const message of kernel.answer(question)) session.receive(message);
      }),
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
