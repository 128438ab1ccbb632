/** The moments of a saved page: folds the changes in the file, as a kernel folds events. No DOM. */

import {
  AGENT_DEFAULTS,
  type Agent,
  type Detail,
  type Outline,
  type PromptMessage,
  RUN_DEFAULTS,
  type Run,
  type SeekCommand,
} from "../state/protocol";
import { type Delta, patched } from "./delta";

/** What `rlm_jupyter/views/saved_replay.py` writes. */
export interface SavedReplay {
  outline: Outline;
  /** Position, agent, turn; 0 for the agent's start. */
  places: [number, string, number][];
  frames: { at: number; run?: Partial<Run>; agents?: Record<string, Partial<Agent>> }[];
  details: Record<string, [number, Delta][]>;
  prompts: Record<string, [number, Delta][]>;
  /** The pages of these agents are not in the file from this moment on. */
  until: Record<string, number>;
}

interface Moment {
  frame: number;
  run: Run;
  /** Rows are never changed: a checkpoint shares them. */
  agents: Map<string, Agent>;
}

/** Frames between two checkpoints. */
const NEAREST = 64;

const AGENT = /^\s*agent\s+([\w.]{1,200})\s*(?:,\s*turn\s+(\d{1,9}))?\s*$/i;
const EVENT = /^\s*(?:event\s+)?(\d{1,9})\s*$/i;

export class SavedMoments {
  #now: Moment;
  readonly #checkpoints: Moment[] = [];

  constructor(
    private readonly saved: SavedReplay,
    private readonly level: Run["saved"],
  ) {
    this.#now = { frame: -1, run: { ...RUN_DEFAULTS }, agents: new Map() };
    this.#go(saved.frames.length - 1);
  }

  get run(): Run {
    return this.#now.run;
  }

  get agents(): ReadonlyMap<string, Agent> {
    return this.#now.agents;
  }

  get position(): number {
    return this.saved.frames[this.#now.frame]?.at ?? 0;
  }

  /** Goes where a page asks for; throws an `Error` with words for the reader where there is no such place. */
  seek(wanted: Omit<SeekCommand, "kind">): void {
    let position = wanted.position ?? this.position;
    let frame: number | null = null;
    if (wanted.place !== undefined) position = this.#find(wanted.place);
    else if (wanted.step === "event") frame = this.#frameAt(position) + (wanted.back ? -1 : 1);
    else if (wanted.step !== undefined) position = this.#stop(wanted.step, position, wanted.back ?? false);
    const last = this.saved.frames.length - 1;
    this.#go(Math.min(Math.max(frame ?? this.#frameAt(position), 0), last));
  }

  /** The page of an agent as it was; `undefined` where it is not in the file. */
  detail(agent: string): Detail | undefined {
    return this.#folded(this.saved.details, agent) as Detail | undefined;
  }

  prompt(agent: string): PromptMessage[] | undefined {
    return this.#folded(this.saved.prompts, agent) as PromptMessage[] | undefined;
  }

  #folded(changes: Record<string, [number, Delta][]>, agent: string): unknown {
    const until = Object.hasOwn(this.saved.until, agent) ? (this.saved.until[agent] as number) : null;
    if (!Object.hasOwn(changes, agent) || (until !== null && this.position >= until)) return undefined;
    let made: unknown;
    for (const [at, change] of changes[agent] as [number, Delta][]) {
      if (at > this.position) break;
      made = patched(made, change);
    }
    return made;
  }

  #find(place: string): number {
    const event = EVENT.exec(place);
    if (event) return Number(event[1]);
    const named = AGENT.exec(place);
    if (!named) throw new Error(`“${place}” is not a place: write “agent 0.3, turn 2”, or “event 120”.`);
    const turn = Number(named[2] ?? 0);
    const found = this.saved.places.find((each) => each[1] === named[1] && each[2] === turn);
    if (!found) throw new Error(`The run has no “${place}”: the tree shows the agents that it has.`);
    return found[0];
  }

  #stop(step: "turn" | "agent", position: number, back: boolean): number {
    const stops = this.saved.places
      .filter((each) => each[2] > 0 === (step === "turn"))
      .map((each) => each[0]);
    const here = this.#frameAt(position);
    if (back) return stops.filter((each) => this.#frameAt(each) < here).at(-1) ?? 0;
    return stops.find((each) => this.#frameAt(each) > here) ?? Number.MAX_SAFE_INTEGER;
  }

  /** The first moment in the file that has an event: in a long run, several share one. */
  #frameAt(position: number): number {
    const { frames } = this.saved;
    let low = 0;
    let high = frames.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((frames[middle]?.at ?? 0) >= position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #go(frame: number): void {
    if (frame < this.#now.frame) {
      const nearest = this.#checkpoints[Math.floor(frame / NEAREST)];
      if (nearest) this.#now = { ...nearest, agents: new Map(nearest.agents) };
    }
    while (this.#now.frame < frame) this.#next();
  }

  #next(): void {
    const now = this.#now;
    now.frame += 1;
    const change = this.saved.frames[now.frame];
    now.run = { ...now.run, ...change?.run, saved: this.level };
    for (const [id, fields] of Object.entries(change?.agents ?? {})) {
      now.agents.set(id, { ...(now.agents.get(id) ?? AGENT_DEFAULTS), ...fields, id });
    }
    if (now.frame % NEAREST !== 0) return;
    this.#checkpoints[now.frame / NEAREST] = { ...now, agents: new Map(now.agents) };
  }
}
