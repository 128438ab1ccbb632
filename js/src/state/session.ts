/**
 * One run on this page: its state, what the reader opened, and the talk with the kernel. It outlives views:
 * JupyterLab makes a new view of the same model when a display is updated, and nothing may fold shut then.
 */

import { pullName } from "../dom/format";
import type {
  Agent,
  BranchCommand,
  CodeStep,
  CodeText,
  Command,
  Detail,
  DetailMessage,
  Incoming,
  Outline,
  OutlineMessage,
  PromptMessage,
  SeekCommand,
} from "./protocol";
import { type Request, Requests } from "./requests";
import { type Outcome, Store } from "./run_store";
import { Folds } from "./visible_rows";

/** What the session needs of its surroundings; a test gives its own. */
export interface Link {
  send(message: Command & { request: string }): void;
  /** Milliseconds. */
  now(): number;
  later(action: () => void, milliseconds: number): void;
}

export interface ExecEntry {
  code: string;
  request: Request;
}

/** Lines of a cell that the reader came for. */
export interface MarkedLines {
  agent: string;
  turn: number;
  cell: number;
  lines: readonly [first: number, last: number];
}

export interface Branching {
  turn: number;
  change: BranchCommand["change"];
  text: string | null;
}

/** What the reader chose. */
export class Choices {
  folds = new Folds();
  /** The row that the keyboard is on. */
  focused: string | null = null;
  /** The agent whose page is open. */
  selected: string | null = null;
  /** Whether the reader chose it; until then the page may follow the run. */
  chosen = false;
  tab: "tree" | "timeline" = "tree";
  /** Seconds since the start of the run; `null`: all of it. */
  zoom: readonly [from: number, to: number] | null = null;
  /** agent → the variable shown */
  variable = new Map<string, string>();
  /** `agent:variable` → the name typed */
  pullAs = new Map<string, string>();
  /** agent → edited code that waits for Next */
  edits = new Map<string, string>();
  /** agent → the reply that is being written in the place of its model */
  replies = new Map<string, string>();
  /** agent → the branch that is being written: of which turn, what of it, and the text (null: as it is) */
  branching = new Map<string, Branching>();
  /** agent → cells run by hand */
  execs = new Map<string, ExecEntry[]>();
  /** agent → the turn that must come whole, where the kernel cuts a long page */
  turn = new Map<string, number>();
  /** The agents whose exact prompt is shown. */
  prompts = new Set<string>();
  variablesOpen = true;
  /** Whether the page of the agent is shown of which the caption of a replay tells. */
  follow = true;
  /** Whether a replay draws where the data goes. */
  explain = false;
  codeOpen = false;
  /** The label of the part of the answer whose code is marked. */
  part: string | null = null;
  marked: MarkedLines | null = null;
}

/** In the place of a variable's name: what the agent gave to FINAL. */
export const FINAL = "";

const REFRESH_MS = 250;
/** After such a silence of a live run this page asks whether anybody is there. */
const SILENCE_MS = 20_000;
/** Doubles with each hello that stays unanswered: a kernel busy with a cell answers them all at its end. */
const HELLO_AGAIN_MS = 3000;
const DETAILS_KEPT = 24;

export class Session {
  readonly store = new Store();
  readonly choices = new Choices();
  readonly requests: Requests;
  readonly details = new Map<string, Detail>();
  readonly prompts = new Map<string, PromptMessage[]>();
  /** What the slider of a replay needs; `null` before it came. */
  outline: Outline | null = null;
  /** The code behind the answer, when it was asked for. */
  code: CodeText | null = null;
  /** Whether it can be asked for. */
  offersCode = true;
  /** Puts code into a new cell behind the one of an element; null if this page cannot do that. */
  insertCell: ((behind: Element, source: string) => boolean) | null = null;
  /** The last thing a screen reader should say. */
  announcement = "";
  readonly #listeners = new Set<() => void>();
  readonly #fetched = new Map<string, number>();
  readonly #taken = new Set<string>();
  #refreshing = false;
  #helloAt = Number.NEGATIVE_INFINITY;
  #helloWait = HELLO_AGAIN_MS;
  #heardAt = Number.NEGATIVE_INFINITY;
  #gone = false;
  /** Milliseconds by which this computer's clock is ahead of the kernel's. */
  #skew: number | null = null;

  constructor(
    private readonly link: Link,
    page = Math.random().toString(36).slice(2, 10),
  ) {
    this.requests = new Requests(page);
  }

  /** Calls `changed` after each change; returns how to end that. */
  watch(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }

  get views(): number {
    return this.#listeners.size;
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Seconds since the epoch by the kernel's clock. */
  now(): number {
    const { started, elapsed } = this.store.run;
    if (this.readonly) return (started ?? 0) + (elapsed ?? 0);
    // Clocks stand still when the kernel is gone: nobody knows what happens there.
    const now = this.lost ? this.#heardAt : this.link.now();
    return (now - (this.#skew ?? 0)) / 1000;
  }

  /** Whether nothing can be asked of the kernels: a file, or an earlier moment. Times stand still. */
  get readonly(): boolean {
    const { saved, replay } = this.store.run;
    return saved !== null || replay !== null;
  }

  /** Whether a branch can be started from a turn of an agent: not in a file or of a log, nor of a branch's agent. */
  canBranch(agent: Agent): boolean {
    const { run } = this.store;
    return run.branches && run.saved === null && agent.branch === null && run.replay?.only !== true;
  }

  /** Opens the form in which the code of a turn can be changed. */
  beginBranch(agent: string, turn: number): void {
    this.choices.branching.set(agent, { turn, change: "code", text: null });
    const shown = this.details.get(agent)?.turns.find((each) => each.turn === turn);
    if (shown && shown.shortened > 0) this.wholeTurn(agent, turn);
    this.requests.drop(`branch:${agent}`);
    this.changed();
  }

  /** Shows another moment; without a place, the present. */
  seek(wanted: Omit<SeekCommand, "kind"> = {}): Request {
    return this.send({ kind: "seek", ...wanted });
  }

  /** Whether the frontend has closed the connection to the kernel, and nothing has come over it since. */
  get gone(): boolean {
    return this.#gone;
  }

  /** The connection was closed, or opened: the kernel's answer to hello tells which. */
  disconnected(): void {
    this.#gone = true;
    this.hello();
    this.changed();
  }

  /** Whether the kernel of a live run no longer answers. */
  get lost(): boolean {
    if (this.#gone) return true;
    return this.store.run.clicks && this.requests.get("hello")?.state === "slow";
  }

  /** How long an agent took, or has taken so far; seconds. */
  elapsed(of: Pick<Agent, "status" | "started" | "elapsed">): number | null {
    const { saved, replay } = this.store.run;
    const stands = of.status !== "running" || (saved !== null && replay === null);
    if (stands || of.started === null) return of.elapsed;
    return Math.max(of.elapsed ?? 0, this.now() - of.started);
  }

  send(command: Command): Request {
    const request = this.requests.open(command, this.link.now());
    this.link.send({ ...command, request: request.id });
    this.changed();
    return request;
  }

  hello(): void {
    this.#helloAt = this.link.now();
    this.send({ kind: "hello" });
  }

  receive(message: Incoming): void {
    this.#heardAt = this.link.now();
    this.#gone = false;
    this.requests.drop("hello");
    switch (message.kind) {
      case "snapshot":
      case "patch":
        this.#fold(message);
        break;
      case "detail":
        this.#takeDetail(message);
        break;
      case "prompt":
        this.prompts.set(message.agent, message.messages);
        this.requests.settle(message);
        break;
      case "outline":
        this.#takeOutline(message);
        break;
      case "code":
        if (this.requests.settle(message)) this.#takeCode(message.code);
        break;
      case "ok":
      case "error":
        this.#takeAnswer(this.requests.settle(message));
        break;
      default:
        return;
    }
    this.changed();
  }

  /** Opens an agent's page and asks for what is on it. */
  select(id: string | null, chosen = true): void {
    const { choices } = this;
    if (chosen) choices.chosen = true;
    if (chosen && id !== this.store.run.replay?.agent) choices.follow = false;
    if (id === choices.selected) return;
    choices.selected = id;
    if (id !== null) {
      choices.folds.reveal(this.store, id);
      this.#refresh();
    }
    this.changed();
  }

  /** Asks for one turn of an agent whole. */
  wholeTurn(id: string, turn: number): void {
    this.choices.turn.set(id, turn);
    const agent = this.store.agents.get(id);
    if (agent && !this.requests.isPending(`open:${id}`)) this.#fetch(agent);
  }

  /** Opens or closes the code behind the answer; with a label, marks what that part of the answer rests on. */
  openCode(open: boolean, part: string | null = null): void {
    const { choices } = this;
    choices.codeOpen = open;
    choices.part = part;
    if (open && this.code === null && !this.requests.isPending("code")) this.send({ kind: "code" });
    this.changed();
  }

  #takeCode(code: CodeText): void {
    this.code = code;
    this.announcement = "The code behind the answer is there";
  }

  /** Opens an agent's page at the lines that a statement came from. */
  showLines({ agent, turn, cell, lines }: CodeStep): void {
    const { choices } = this;
    choices.marked = { agent, turn, cell, lines };
    choices.prompts.delete(agent);
    const page = this.details.get(agent);
    const there = page?.turns.find((each) => each.turn === turn);
    if (turn > 0 && (!there || there.shortened > 0)) {
      choices.turn.set(agent, turn);
      if (page) this.wholeTurn(agent, turn);
    }
    this.select(agent);
    this.changed();
  }

  /** The name under which a variable would be pulled: the reader's, or one that is probably free. */
  pullAs(agent: string, name: string): string {
    const typed = this.choices.pullAs.get(`${agent}:${name}`);
    if (typed !== undefined) return typed;
    const page = this.details.get(agent);
    const held = name === FINAL ? page?.value : page?.variables.find((variable) => variable.name === name);
    return held?.free_name ?? pullName(name || "value", agent, this.#taken);
  }

  pull(agent: string, name: string, target: string, overwrite: boolean): void {
    this.choices.pullAs.set(`${agent}:${name}`, target);
    this.send({ kind: "pull", agent, name, target, overwrite });
  }

  exec(agent: string, code: string): void {
    const entries = this.choices.execs.get(agent) ?? [];
    entries.push({ code, request: this.send({ kind: "exec", agent, code }) });
    this.choices.execs.set(agent, entries.slice(-20));
    this.changed();
  }

  /** Once a second: marks requests without an answer; asks again for a state that did not come. */
  tick(): void {
    const waits = this.store.seq < 0 && this.link.now() - this.#helloAt > this.#helloWait;
    if (waits && this.views > 0) {
      this.#helloWait *= 2;
      this.hello();
    }
    const { run } = this.store;
    const live = run.status === "running" && run.clicks && !this.readonly;
    const silent = this.store.seq >= 0 && live && this.views > 0;
    if (silent && this.link.now() - this.#heardAt > SILENCE_MS && !this.requests.get("hello")) this.hello();
    if (this.requests.age(this.link.now()) || this.store.run.status === "running") this.changed();
  }

  #fold(message: Extract<Incoming, { kind: "snapshot" | "patch" }>): void {
    const before = this.store.run.status;
    const first = this.store.seq < 0;
    const outcome = this.store.apply(message);
    if (message.kind === "snapshot") this.#greeted(outcome);
    if (outcome === "gap" && this.link.now() - this.#helloAt > HELLO_AGAIN_MS) this.hello();
    if (outcome !== "applied") return;
    this.#setClock(message.run?.elapsed);
    const { run } = this.store;
    const { replay } = run;
    if (replay === null) this.outline = null;
    if (message.kind === "patch" && replay === null) this.#announce(message.agents ?? {});
    if (!first && replay === null && before === "running" && run.status !== "running") {
      this.announcement = `Run ${run.status === "limit" ? "ended at a limit" : run.status}`;
    }
    if (replay !== null) this.#followReplay(replay.agent);
    else this.#follow();
    this.#refresh();
    if (run.status !== "running") this.#fetchAnswer();
  }

  /** What happens to agents that somebody should hear of: a failure, and code that waits for Next. */
  #announce(agents: Record<string, Partial<Agent>>): void {
    const say = (words: string, concerns: (fields: Partial<Agent>) => boolean) => {
      const ids = Object.keys(agents).filter((id) => concerns(agents[id] as Partial<Agent>));
      if (ids.length > 0) this.announcement = `${ids.length > 1 ? `${ids.length} agents` : ids[0]} ${words}`;
    };
    say("waiting for Next", (fields) => fields.activity === "step");
    say("waiting for your reply", (fields) => fields.activity === "reply");
    say("asking you", (fields) => fields.activity === "question");
    say("failed", (fields) => fields.status === "failed");
  }

  /** The first agent, whose question is the run's. */
  get root(): Agent | undefined {
    return this.store.agents.get(this.store.children(null)[0] ?? "");
  }

  /** The head shows the answer itself, not only of what type it is: that is on the root's page. */
  #fetchAnswer(): void {
    const { root } = this;
    if (!root || root.value === null || this.details.has(root.id) || this.#fetched.has(root.id)) return;
    this.#fetch(root);
  }

  /** A snapshot is the answer to hello; as long as parts of a large one come, no other hello is said. */
  #greeted(outcome: Outcome): void {
    if (outcome === "applied") this.#helloAt = Number.NEGATIVE_INFINITY;
    else if (this.store.seq < 0) this.#helloAt = this.link.now();
  }

  #setClock(elapsed: number | null | undefined): void {
    const { run } = this.store;
    if (typeof elapsed !== "number" || run.started === null || run.status !== "running") return;
    if (this.readonly) return;
    const skew = this.link.now() - (run.started + elapsed) * 1000;
    // A message can only be late: the smallest difference is the nearest to the truth.
    this.#skew = this.#skew === null ? skew : Math.min(this.#skew, skew);
  }

  /** The page shows the agent that waits for the reader (for Next, or for a reply), unless the shown one does. */
  #follow(): void {
    const { run, agents } = this.store;
    const shown = this.choices.selected === null ? undefined : agents.get(this.choices.selected);
    // The root also waits where no cell does: for consent to what a run over many rows will cost.
    const asks = agents.get("0")?.activity === "step";
    const stepping = run.step || run.paused || asks;
    const waits = ({ status, activity }: Agent) =>
      status === "running" && (activity === "reply" || (stepping && activity === "step"));
    if (run.status !== "running" || (shown && waits(shown))) return;
    for (const agent of agents.values()) {
      if (waits(agent)) {
        this.select(agent.id, false);
        return;
      }
    }
  }

  /** The page shows the agent that does something at the moment, and never one that has not begun. */
  #followReplay(agent: string | null): void {
    const { choices, store } = this;
    if (choices.follow && agent !== null && choices.selected !== null) this.select(agent, false);
    if (choices.selected !== null && !store.agents.has(choices.selected)) {
      this.select(this.root?.id ?? null, false);
    }
  }

  #takeOutline(message: OutlineMessage): void {
    if (this.requests.settle(message)) this.outline = message.outline;
  }

  /** Asks for the open page again when its agent changed: at most four times a second, one request at a time. */
  #refresh(): void {
    const id = this.choices.selected;
    const agent = id === null ? undefined : this.store.agents.get(id);
    if (!agent || this.#fetched.get(agent.id) === agent.rev || this.requests.isPending(`open:${agent.id}`))
      return;
    if (!this.details.has(agent.id)) {
      this.#fetch(agent);
    } else if (!this.#refreshing) {
      this.#refreshing = true;
      this.link.later(() => {
        this.#refreshing = false;
        this.#fetchSelected();
      }, REFRESH_MS);
    }
  }

  #fetchSelected(): void {
    const agent = this.choices.selected === null ? undefined : this.store.agents.get(this.choices.selected);
    if (!agent || this.#fetched.get(agent.id) === agent.rev || this.requests.isPending(`open:${agent.id}`))
      return;
    this.#fetch(agent);
  }

  #fetch(agent: Agent): void {
    this.#fetched.set(agent.id, agent.rev);
    const turn = this.choices.turn.get(agent.id);
    this.send({ kind: "open", agent: agent.id, ...(turn === undefined ? {} : { turn }) });
  }

  #takeDetail(message: DetailMessage): void {
    if (!this.requests.settle(message)) return;
    this.details.delete(message.agent);
    this.details.set(message.agent, message.detail);
    for (const id of this.details.keys()) {
      if (this.details.size <= DETAILS_KEPT) break;
      if (id !== this.choices.selected) {
        this.details.delete(id);
        this.#fetched.delete(id);
      }
    }
    const open = message.agent === this.choices.selected && this.choices.prompts.has(message.agent);
    if (open && this.store.run.replay !== null) this.send({ kind: "prompt", agent: message.agent });
    this.#refresh();
  }

  #takeAnswer(request: Request | undefined): void {
    if (!request) return;
    if (request.message !== "") this.announcement = request.message;
    if (request.kind === "pull" && request.state === "done") {
      const as = this.choices.pullAs.get(request.key.slice("pull:".length));
      if (as) this.#taken.add(as);
    }
    if (request.kind === "next" && request.state === "done") {
      this.choices.edits.delete(request.key.slice("next:".length));
    }
    if (request.kind === "branch" && request.state === "done") {
      this.choices.branching.delete(request.key.slice("branch:".length));
    }
    if (request.kind === "reply" && request.state === "done") {
      this.choices.replies.delete(request.key.slice("reply:".length));
    }
    if (request.kind === "open" && request.state === "error")
      this.#fetched.delete(request.key.slice("open:".length));
  }
}
