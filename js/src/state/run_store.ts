/** The state of one run, folded from snapshots and patches. Pure: no DOM, no clock, no sending. */

import {
  AGENT_DEFAULTS,
  type Agent,
  type PatchMessage,
  RUN_DEFAULTS,
  type Run,
  type SnapshotMessage,
  type Status,
} from "./protocol";

/** An agent's row as this page holds it. */
export interface AgentState extends Agent {
  /** The number of the message that changed it last. */
  stamp: number;
}

/** The sums of an agent's sub-agents, each with all below it. */
export interface Totals {
  /** `null`: one of them is unknown. */
  cost: number | null;
  tokens: number;
  turns: number;
  started: number | null;
  /** `null`: one of them still runs. */
  ended: number | null;
}

/** The same, kept up as agents change: thousands are not walked for each message. */
interface Sums {
  cost: number;
  unknown: number;
  tokens: number;
  turns: number;
  started: number;
  ended: number;
}

export type Counts = Record<Status, number>;

/** `applied`: the state changed · `stale`: it was known already · `partial`: more parts follow · `gap`: say hello. */
export type Outcome = "applied" | "stale" | "partial" | "gap";

const ROOT = "";

export class Store {
  run: Run = { ...RUN_DEFAULTS };
  agents = new Map<string, AgentState>();
  /** The number of the last message that is in the state; -1: nothing yet. */
  seq = -1;
  /** Rises when an agent appears; nothing else moves rows. */
  structure = 0;
  /** Rises when an agent fails, or is found not to have failed. */
  failing = 0;
  #kids = new Map<string, string[]>();
  /** The rows of branches below an agent. */
  #branches = new Map<string, string[]>();
  #failures = new Map<string, number>();
  #counts = new Map<string, Counts>();
  #sums = new Map<string, Sums>();
  /** Agents that have not begun at the moment of a replay that is shown, as they were told last. */
  #withdrawn = new Map<string, AgentState>();
  #parts: {
    seq: number;
    next: number;
    run: Partial<Run>;
    agents: Record<string, Partial<Agent>>;
  } | null = null;

  apply(message: SnapshotMessage | PatchMessage): Outcome {
    return message.kind === "snapshot" ? this.#applySnapshot(message) : this.#applyPatch(message);
  }

  /** The ids of an agent's sub-agents in the order of their numbers; of the roots for `null`. */
  children(parent: string | null): readonly string[] {
    return this.#kids.get(parent ?? ROOT) ?? [];
  }

  /** The ids of the branches that leave a run at an agent: runs of their own, in none of the sums. */
  branches(parent: string | null): readonly string[] {
    return this.#branches.get(parent ?? ROOT) ?? [];
  }

  /** Whether a row is that of a branch, and its parent one of the run that it leaves. */
  isBranch(agent: Agent): boolean {
    if (agent.branch === null) return false;
    return agent.branch !== (this.agents.get(agent.parent ?? ROOT)?.branch ?? null);
  }

  /** How many of an agent's sub-agents are in which state. */
  statuses(parent: string | null): Readonly<Counts> {
    return this.#counts.get(parent ?? ROOT) ?? { running: 0, done: 0, failed: 0, stopped: 0, limit: 0 };
  }

  /** What an agent's sub-agents have spent together. */
  totals(parent: string | null): Totals {
    const sums = this.#sums.get(parent ?? ROOT) ?? noSums();
    const running = this.statuses(parent).running > 0;
    const known = Number.isFinite(sums.started);
    return {
      // What rounding leaves of many additions and subtractions is not money.
      cost: sums.unknown > 0 ? null : Math.max(Number(sums.cost.toFixed(9)), 0),
      tokens: sums.tokens,
      turns: sums.turns,
      started: known ? sums.started : null,
      ended: known && !running ? sums.ended : null,
    };
  }

  /** How many agents below this one have failed. */
  failures(id: string): number {
    return this.#failures.get(id) ?? 0;
  }

  /** The failed agents below this one, nearest first, at most `limit`. */
  failed(id: string, limit: number): Agent[] {
    const found: Agent[] = [];
    const open = [id];
    for (let at = open.shift(); at !== undefined && found.length < limit; at = open.shift()) {
      for (const kid of this.children(at)) {
        const agent = this.agents.get(kid) as AgentState;
        if (agent.status === "failed" && found.length < limit) found.push(agent);
        if (this.failures(kid) > 0) open.push(kid);
      }
    }
    return found;
  }

  /** The agent, its parent, … up to the root. */
  path(id: string): Agent[] {
    const path: Agent[] = [];
    let agent = this.agents.get(id);
    while (agent && !path.includes(agent)) {
      path.push(agent);
      agent = agent.parent === null ? undefined : this.agents.get(agent.parent);
    }
    return path;
  }

  #applySnapshot(message: SnapshotMessage): Outcome {
    const sameRun = this.seq >= 0 && message.run.id === this.run.id;
    // Another page of the same notebook asked for it: what is here already is at least as new.
    if (sameRun && message.seq <= this.seq) return "stale";
    const parts = message.parts ?? 1;
    if (parts <= 1) {
      this.#replace(message.seq, message.run, message.agents);
      return "applied";
    }
    const part = message.part ?? 0;
    if (part === 0) this.#parts = { seq: message.seq, next: 0, run: {}, agents: {} };
    const held = this.#parts;
    // The rest of a snapshot that another page asked for, or that began before this page was there.
    if (!held) return "stale";
    if (held.seq !== message.seq || held.next !== part) {
      this.#parts = null;
      return "gap";
    }
    Object.assign(held.run, message.run);
    Object.assign(held.agents, message.agents);
    held.next += 1;
    if (held.next < parts) return "partial";
    this.#parts = null;
    this.#replace(held.seq, held.run, held.agents);
    return "applied";
  }

  #applyPatch(message: PatchMessage): Outcome {
    if (this.seq < 0) return "gap";
    if (message.seq <= this.seq) return "stale";
    if (message.seq !== this.seq + 1) return "gap";
    if (message.back?.some((id) => !this.#withdrawn.has(id))) return "gap";
    this.seq = message.seq;
    if (message.run) Object.assign(this.run, message.run);
    if (message.gone?.length) this.#remove(message.gone);
    if (message.back) this.#return(message.back);
    this.#merge(message.agents ?? {});
    return "applied";
  }

  #replace(seq: number, run: Partial<Run>, agents: Record<string, Partial<Agent>>): void {
    this.seq = seq;
    this.run = { ...RUN_DEFAULTS, ...run };
    this.agents.clear();
    this.#withdrawn.clear();
    this.#clear();
    this.#merge(agents);
  }

  /** Of an earlier moment, where these had not begun: all sums are made anew. */
  #remove(ids: readonly string[]): void {
    for (const id of ids) {
      const agent = this.agents.get(id);
      if (agent) this.#withdrawn.set(id, agent);
      this.agents.delete(id);
    }
    this.#clear();
    for (const agent of this.agents.values()) this.#place(agent);
  }

  /** Of a later moment, where these have begun again. */
  #return(ids: readonly string[]): void {
    for (const id of ids) {
      const agent = this.#withdrawn.get(id) as AgentState;
      this.#withdrawn.delete(id);
      agent.stamp = this.seq;
      this.agents.set(id, agent);
      this.#place(agent);
    }
  }

  #clear(): void {
    this.#kids.clear();
    this.#branches.clear();
    this.#counts.clear();
    this.#failures.clear();
    this.#sums.clear();
    this.structure += 1;
  }

  #merge(rows: Record<string, Partial<Agent>>): void {
    for (const id of Object.keys(rows)) {
      const fields = rows[id] as Partial<Agent>;
      const agent = this.agents.get(id);
      if (agent) this.#change(agent, fields);
      else this.#add(id, fields);
    }
  }

  #change(agent: AgentState, fields: Partial<Agent>): void {
    const branch = this.isBranch(agent);
    if (!branch && fields.status !== undefined && fields.status !== agent.status) {
      const more = Number(fields.status === "failed") - Number(agent.status === "failed");
      if (more !== 0) this.#fail(agent.parent, more);
      const counts = this.#counts.get(agent.parent ?? ROOT);
      if (counts) {
        counts[agent.status] -= 1;
        counts[fields.status] += 1;
      }
    }
    if (!branch) this.#sum(agent, -1);
    // An agent keeps its place for life: rows never move under the reader's eyes.
    const { id, parent } = agent;
    Object.assign(agent, fields);
    agent.id = id;
    agent.parent = parent;
    agent.stamp = this.seq;
    if (!branch) this.#sum(agent, 1);
  }

  /** Adds an agent to the sums of its parent, or takes it out. */
  #sum(agent: Agent, sign: 1 | -1): void {
    const key = agent.parent ?? ROOT;
    let sums = this.#sums.get(key);
    if (!sums) {
      sums = noSums();
      this.#sums.set(key, sums);
    }
    const spent: number | null = agent.cost_total ?? agent.cost;
    if (spent === null) sums.unknown += sign;
    else sums.cost += sign * spent;
    sums.tokens += sign * (agent.input_tokens + agent.output_tokens);
    sums.turns += sign * agent.turns;
    if (sign < 0) return;
    if (agent.started !== null) sums.started = Math.min(sums.started, agent.started);
    const ended = agent.status === "running" ? 0 : (agent.started ?? 0) + (agent.elapsed ?? 0);
    sums.ended = Math.max(sums.ended, ended);
  }

  #add(id: string, fields: Partial<Agent>): void {
    const agent: AgentState = { ...AGENT_DEFAULTS, ...fields, id, stamp: this.seq };
    this.agents.set(id, agent);
    this.#place(agent);
  }

  /** Takes an agent into the sums and the order of the rows. */
  #place(agent: AgentState): void {
    const { id } = agent;
    const key = agent.parent ?? ROOT;
    this.structure += 1;
    if (this.isBranch(agent)) {
      const branches = this.#branches.get(key);
      if (branches) branches.push(id);
      else this.#branches.set(key, [id]);
      return;
    }
    this.#sum(agent, 1);
    const kids = this.#kids.get(key);
    if (kids) insert(kids, id);
    else this.#kids.set(key, [id]);
    let counts = this.#counts.get(key);
    if (!counts) {
      counts = { running: 0, done: 0, failed: 0, stopped: 0, limit: 0 };
      this.#counts.set(key, counts);
    }
    counts[agent.status] += 1;
    // Sub-agents that came before their parent are counted already: by it, not above it.
    const more = Number(agent.status === "failed") + this.failures(id);
    if (more > 0) this.#fail(agent.parent, more);
  }

  #fail(parent: string | null, more: number): void {
    this.failing += 1;
    let id = parent;
    for (let step = 0; id !== null && step < 1000; step += 1) {
      this.#failures.set(id, this.failures(id) + more);
      const agent = this.agents.get(id);
      // What fails in a branch is no failure of the run that it leaves.
      id = agent === undefined || this.isBranch(agent) ? null : agent.parent;
    }
  }
}

function noSums(): Sums {
  return { cost: 0, unknown: 0, tokens: 0, turns: 0, started: Number.POSITIVE_INFINITY, ended: 0 };
}

/** The number of an agent among its siblings: 12 for `0.3.12`. */
function ordinal(id: string): number {
  return Number(id.slice(id.lastIndexOf(".") + 1));
}

/** Keeps siblings in the order of their numbers whatever order messages come in; the usual case appends. */
function insert(ids: string[], id: string): void {
  const place = ordinal(id);
  let low = ids.length;
  while (low > 0 && ordinal(ids[low - 1] as string) > place) low -= 1;
  ids.splice(low, 0, id);
}
