import type { Agent, Command, Detail, Incoming, Run } from "../src/state/protocol";
import { Session } from "../src/state/session";
import { View } from "../src/tree/run_view";

/** A row as the kernel sends it, whole. */
export function agent(id: string, fields: Partial<Agent> = {}): Partial<Agent> {
  const dot = id.lastIndexOf(".");
  return {
    id,
    parent: dot < 0 ? null : id.slice(0, dot),
    depth: id.split(".").length - 1,
    question: `question of ${id}`,
    status: "running",
    started: 1000,
    elapsed: 1,
    ...fields,
  };
}

export function rows(...agents: Partial<Agent>[]): Record<string, Partial<Agent>> {
  return Object.fromEntries(agents.map((each) => [each.id as string, each]));
}

export function ids(parent: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${parent}.${at + 1}`);
}

export const RUN: Partial<Run> = {
  id: "r1",
  question: "Which supplier?",
  status: "running",
  started: 1000,
  elapsed: 1,
};

export function detail(fields: Partial<Detail> = {}): Detail {
  return {
    question: "the question",
    context: null,
    tools: [],
    turns: [],
    look: null,
    sub_calls: [],
    variables: [],
    notices: [],
    value: null,
    error: null,
    cut: {},
    ...fields,
  };
}

export type Sent = Command & { request: string };

/** A session whose kernel is this test. */
export class Desk {
  readonly sent: Sent[] = [];
  milliseconds = 1_001_000;
  private waiting: { at: number; action: () => void }[] = [];
  readonly session = new Session(
    {
      send: (message) => this.sent.push(message),
      now: () => this.milliseconds,
      later: (action, delay) => this.waiting.push({ at: this.milliseconds + delay, action }),
    },
    "page",
  );

  receive(message: Incoming): void {
    this.session.receive(message);
  }

  snapshot(agents: Partial<Agent>[], run: Partial<Run> = {}, seq = 1): void {
    this.receive({ kind: "snapshot", seq, run: { ...RUN, ...run }, agents: rows(...agents) });
  }

  pass(milliseconds: number): void {
    this.milliseconds += milliseconds;
    const due = this.waiting.filter((each) => each.at <= this.milliseconds);
    this.waiting = this.waiting.filter((each) => each.at > this.milliseconds);
    for (const each of due) each.action();
  }

  last(kind: Command["kind"]): Sent {
    const found = this.sent.filter((each) => each.kind === kind).at(-1);
    if (!found) throw new Error(`nothing of kind ${kind} was sent`);
    return found;
  }

  count(kind: Command["kind"]): number {
    return this.sent.filter((each) => each.kind === kind).length;
  }

  /** Answers the last request for an agent's page. */
  answer(fields: Partial<Detail> = {}): void {
    const { request, agent: id } = this.last("open") as Sent & { agent: string };
    this.receive({ kind: "detail", request, agent: id, detail: detail(fields) });
  }
}

/** A view in the document. */
export class Page extends Desk {
  readonly host = document.createElement("div");
  readonly end: () => void;

  constructor() {
    super();
    document.body.append(this.host);
    this.end = new View(this.session).mount(this.host);
  }

  find<T extends HTMLElement = HTMLElement>(selector: string): T {
    const found = this.host.querySelector<T>(selector);
    if (!found) throw new Error(`no ${selector}`);
    return found;
  }

  all(selector: string): HTMLElement[] {
    return [...this.host.querySelectorAll<HTMLElement>(selector)];
  }

  /** The visible button of that exact name. */
  button(name: string): HTMLButtonElement | undefined {
    return this.all("button").find(
      (each) => (each.getAttribute("aria-label") ?? each.textContent) === name && !each.closest("[hidden]"),
    ) as HTMLButtonElement | undefined;
  }

  items(): HTMLElement[] {
    return this.all('[role="treeitem"]');
  }

  names(): string[] {
    return this.items().map((each) => each.dataset.key ?? "");
  }

  item(key: string): HTMLElement {
    return this.find(`[data-key="${key}"]`);
  }

  key(key: string, target: Element | null = document.activeElement): KeyboardEvent {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
    target?.dispatchEvent(event);
    return event;
  }
}

export function frame(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
}
