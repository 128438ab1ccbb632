/** The wire protocol: what the kernel sends and what this page asks. Plain JSON, custom messages only. */

export type Status = "running" | "done" | "failed" | "stopped" | "limit";
/** What is waited for besides the model: that a request is sent again, what is held by others, a kernel, Next. */
export type Waiting =
  | "rate_limit"
  | "server_error"
  | "connection"
  | "bad_reply"
  | "provider"
  | "budget"
  | "concurrency"
  | "kernel"
  | "step";
export type Activity = "model" | "code" | "children" | Waiting | "";
export type SpanKind = "model" | "code" | "wait";

/** One stretch of an agent's life, epoch seconds; `null` as end: it lasts still. */
export type Span = [kind: SpanKind, start: number, end: number | null];

/** Where the bytes of a run's values are. */
export interface Places {
  memory?: number | null;
  disk?: number | null;
  shared?: number | null;
  /** Of memory; what is over it goes to the disk. */
  limit?: number | null;
}

export interface Run {
  id: string;
  question: string;
  status: Status;
  model: string | null;
  sub_model: string | null;
  scripted: boolean;
  /** Epoch seconds. */
  started: number | null;
  elapsed: number | null;
  /** USD; `null`: unknown. */
  cost: number | null;
  cost_limit: number | null;
  input_tokens: number;
  output_tokens: number;
  token_limit: number | null;
  calls: number;
  call_limit: number | null;
  agents: number;
  depth: number;
  in_flight: number;
  context_bytes: number | null;
  context_summary: string | null;
  seen_tokens: number | null;
  sandbox: string | null;
  /** Optional. */
  values: Places | null;
  value: string | null;
  error: string | null;
  notices: string[];
  provenance: string | null;
  /** `false`: clicks arrive only after the cell. */
  clicks: boolean;
  step: boolean;
  /** Optional: the run is paused by the user. */
  paused: boolean;
}

export interface Agent {
  id: string;
  parent: string | null;
  depth: number;
  question: string;
  name: string | null;
  status: Status;
  activity: Activity;
  model: string | null;
  turns: number;
  cells: number;
  sub_calls: number;
  /** Optional: how often its code called a tool. */
  tool_calls: number;
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  cost_total: number | null;
  started: number | null;
  elapsed: number | null;
  value: string | null;
  error: string | null;
  variables: number;
  rev: number;
  pending_code: string | null;
  /** Optional: what the timeline draws; without it a lane is one bar. */
  spans: Span[] | null;
  /** Not sent: the number of the message that changed it last, noted by the store. */
  stamp: number;
}

/** A part of a container. */
export interface Item {
  /** Of a dict; a list has indices. */
  key?: string | null;
  type?: string;
  bytes?: number | null;
  summary?: string;
}

/** What is shown of a value: made by the kernel, bounded there. */
export interface Description {
  type?: string;
  summary?: string;
  bytes?: number | null;
  shape?: number[];
  length?: number;
  columns?: { name: string; dtype?: string; nulls?: number | null }[];
  rows?: unknown[][];
  preview?: string;
  /** What is in a container: of a dict with the keys. */
  items?: Item[];
  truncated?: boolean;
  /** Optional: where it is held, `memory`, `disk` or `shared`. */
  place?: string | null;
  /** Optional: a name that is free in the notebook. */
  as?: string | null;
}

export interface Variable extends Description {
  name: string;
  /** The turn that made it. */
  turn?: number | null;
}

export type CellStatus = "running" | "ok" | "error" | "interrupted" | "timeout" | "died" | "skipped";

export interface Cell {
  cell: number;
  code: string;
  output: string;
  /** Characters that were cut from the output. */
  cut: number;
  status: CellStatus;
  error: string | null;
  seconds: number | null;
}

export interface Turn {
  turn: number;
  sent_chars: number;
  reply: string;
  thinking?: string | null;
  cells: Cell[];
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  model: string | null;
  finish_reason: string | null;
  cached: boolean;
  /** Optional: no provider told the tokens. */
  estimated?: boolean;
  started: number | null;
  seconds: number | null;
  streaming: boolean;
  /** Why there is no reply. */
  error?: string | null;
  /** Optional: the newest of what its code called, and how much that was in all. */
  tool_calls?: ToolCall[] | null;
  tools_called?: number | null;
}

export interface ToolCall {
  name: string;
  seconds: number | null;
  ok: boolean;
  error?: string | null;
}

export interface SubCall {
  call: string | number;
  prompt: string;
  reply: string | null;
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  status: string;
  /** Optional: `llm_query`, `repair` (its second try), `fallback` (a sub-agent at the depth limit), `summary` (of old turns), … */
  purpose?: string | null;
  cached?: boolean;
  estimated?: boolean;
}

export interface Detail {
  question: string;
  context: Description | null;
  turns: Turn[];
  sub_calls: SubCall[];
  variables: Variable[];
  notices: string[];
  value: Description | null;
  error: string | null;
  /** Optional: the tools and servers that its code may call. */
  tools?: string[] | null;
  /** How many were left out, oldest first, because a page is bounded. */
  cut?: { turns?: number; sub_calls?: number; variables?: number };
}

export interface PromptMessage {
  role: string;
  content: string;
}

type Rows = Record<string, Partial<Agent>>;

export interface SnapshotMessage {
  kind: "snapshot";
  seq: number;
  run: Partial<Run>;
  agents: Rows;
  /** Optional: a snapshot too large for one message comes in `parts` messages of the same `seq`. */
  part?: number;
  parts?: number;
}

export interface PatchMessage {
  kind: "patch";
  seq: number;
  run?: Partial<Run>;
  agents?: Rows;
}

export interface DetailMessage {
  kind: "detail";
  request: string;
  agent: string;
  detail: Detail;
}

export interface PromptAnswer {
  kind: "prompt";
  request: string;
  agent: string;
  messages: PromptMessage[];
}

export interface OkMessage {
  kind: "ok";
  request: string;
  message?: string | null;
  output?: string | null;
}

export interface ErrorMessage {
  kind: "error";
  request: string;
  message: string;
  /** Optional: `exists` when a pull would overwrite a name. */
  reason?: string | null;
}

export type Incoming =
  | SnapshotMessage
  | PatchMessage
  | DetailMessage
  | PromptAnswer
  | OkMessage
  | ErrorMessage;
export type Answer = DetailMessage | PromptAnswer | OkMessage | ErrorMessage;

/** What this page asks; `request` is added by the session. */
export type Command =
  | { kind: "hello" }
  | { kind: "open"; agent: string; turn?: number }
  | { kind: "prompt"; agent: string }
  | { kind: "stop"; agent: string | null }
  | { kind: "pull"; agent: string; name: string; as: string; overwrite: boolean }
  | { kind: "exec"; agent: string; code: string }
  | { kind: "retry"; agent: string }
  | { kind: "limit"; name: string; value: number }
  | { kind: "next"; agent: string; code: string | null }
  | { kind: "pause" }
  | { kind: "resume" };
