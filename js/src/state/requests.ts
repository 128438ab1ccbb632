/** What was asked and how far it is, so that a button can show pending → done or error. Pure but for its clock. */

import type { Answer, Command } from "./protocol";

export interface Request {
  id: string;
  /** What it is about, e.g. `stop:0.2`: a later one with the same key replaces it. */
  key: string;
  kind: Command["kind"];
  /** `slow`: no answer for a while; it may still come. */
  state: "pending" | "slow" | "done" | "error";
  asked: number;
  message: string;
  /** What a cell printed. */
  output: string | null;
  /** `exists`: the name is taken in the notebook. */
  reason: string | null;
}

/** After this many milliseconds without an answer the page says so. */
export const SLOW_AFTER = 8000;

export function requestKey(command: Command): string {
  switch (command.kind) {
    case "pull":
      return `pull:${command.agent}:${command.name}`;
    case "limit":
      return `limit:${command.name}`;
    case "hello":
    case "code":
    case "pause":
    case "resume":
    case "seek":
    case "outline":
      return command.kind;
    default:
      return `${command.kind}:${command.agent ?? ""}`;
  }
}

export class Requests {
  #byKey = new Map<string, Request>();
  #byId = new Map<string, Request>();
  #count = 0;

  /** `page` tells this page's requests from those of another page on the same kernel. */
  constructor(private readonly page: string) {}

  open(command: Command, now: number): Request {
    this.#count += 1;
    const key = requestKey(command);
    this.drop(key);
    const request: Request = {
      id: `${this.page}.${this.#count}`,
      key,
      kind: command.kind,
      state: "pending",
      asked: now,
      message: "",
      output: null,
      reason: null,
    };
    this.#byKey.set(key, request);
    this.#byId.set(request.id, request);
    return request;
  }

  /** The last request of that key, whatever became of it. */
  get(key: string): Request | undefined {
    return this.#byKey.get(key);
  }

  isPending(key: string): boolean {
    const state = this.#byKey.get(key)?.state;
    return state === "pending" || state === "slow";
  }

  /** Books an answer; `undefined` for the request of another page or one that was replaced. */
  settle(answer: Answer): Request | undefined {
    const request = this.#byId.get(answer.request);
    if (!request) return undefined;
    this.#byId.delete(request.id);
    request.state = answer.kind === "error" ? "error" : "done";
    if (answer.kind === "ok" || answer.kind === "error") request.message = answer.message ?? "";
    if (answer.kind === "ok") request.output = answer.output ?? null;
    if (answer.kind === "error")
      request.reason = answer.reason ?? (/already exists|overwrite/i.test(request.message) ? "exists" : null);
    return request;
  }

  drop(key: string): void {
    const request = this.#byKey.get(key);
    if (!request) return;
    this.#byKey.delete(key);
    this.#byId.delete(request.id);
  }

  /** Marks what waits too long; true when something changed. */
  age(now: number): boolean {
    let changed = false;
    for (const request of this.#byId.values()) {
      if (request.state === "pending" && now - request.asked > SLOW_AFTER) {
        request.state = "slow";
        changed = true;
      }
    }
    return changed;
  }
}
