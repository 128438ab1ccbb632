/**
 * The messages between the widget's Python and JavaScript sides: plain JSON in custom messages.
 *
 * Generated from `rlm_jupyter/views/protocol.py` by `make protocol`; do not edit.
 */

export type Status = "running" | "done" | "failed" | "stopped" | "limit";

/** What an agent waits for, besides the model and its own code. */
export type Waiting =
  | "rate_limit"
  | "server_error"
  | "connection"
  | "bad_reply"
  | "provider"
  | "budget"
  | "concurrency"
  | "reading"
  | "kernel"
  | "step"
  | "reply"
  | "question";

export type Activity = "model" | "code" | "children" | Waiting | "";

/** How much of a run a file of it has: all, no data, or no text at all. */
export type Level = "all" | "redacted" | "structure";

export type SpanKind = "model" | "code" | "wait";

/** One stretch of an agent's life: kind, start and end; the end is None while it lasts. */
export type Span = [SpanKind, number, number | null];

/** Bytes of a run's values by where they are held. */
export interface Places {
  memory?: number | null;
  disk?: number | null;
  shared?: number | null;
  /** Bytes held in memory at most; values above it are written to disk. */
  limit?: number | null;
}

/** What came of the proof of the code behind an answer. */
export interface Proof {
  verdict: "reproduced" | "differs" | "failed" | "not tried";
  /** What differs, or why it failed or was not tried, in one line; may be empty. */
  detail: string;
  /** Answers of plain completions that the code holds. */
  recorded: number;
}

/** What an agent's code asks the user. */
export interface UserQuestion {
  agent: string;
  number: number;
  question: string;
  /** What may be chosen from; empty if the answer is a text. */
  options: string[];
  /** What is taken if nobody answers. */
  default: string;
  /** When it is taken. */
  until: number | null;
}

/** The header of a run. */
export interface Run {
  id: string;
  question: string;
  status: Status;
  model: string | null;
  sub_model: string | null;
  scripted: boolean;
  started: number | null;
  elapsed: number | null;
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
  /** Tokens of data that were sent. */
  data_tokens: number;
  exposure_limit: number | null;
  /** Columns of whose values models see tokens alone. */
  hidden: string[];
  sandbox: string | null;
  values: Places | null;
  value: string | null;
  /** Of the code behind the answer; null before somebody asked for it. */
  proof: Proof | null;
  card: Card | null;
  error: string | null;
  notices: string[];
  /** What it will cost and take, from runs alike, in a line; null if that is not known, and when it has ended. */
  expected: string | null;
  /** Of the user, as long as an answer is waited for. */
  asked: UserQuestion | null;
  provenance: string | null;
  /** False: clicks arrive only after the cell has ended. */
  clicks: boolean;
  step: boolean;
  paused: boolean;
  /** Whether a branch can be started from a turn of it. */
  branches: boolean;
  /** Of a page that was saved as a file: no kernel answers there, and times stand still. */
  saved: Level | null;
  /** Where an earlier moment is shown: times stand still, and nothing can be asked of the kernels. */
  replay: Replay | null;
}

/** The header before the first snapshot. */
export const RUN_DEFAULTS: Run = {
  id: "",
  question: "",
  status: "running",
  model: null,
  sub_model: null,
  scripted: false,
  started: null,
  elapsed: null,
  cost: null,
  cost_limit: null,
  input_tokens: 0,
  output_tokens: 0,
  token_limit: null,
  calls: 0,
  call_limit: null,
  agents: 0,
  depth: 0,
  in_flight: 0,
  context_bytes: null,
  context_summary: null,
  seen_tokens: null,
  data_tokens: 0,
  exposure_limit: null,
  hidden: [],
  sandbox: null,
  values: null,
  value: null,
  proof: null,
  card: null,
  error: null,
  notices: [],
  expected: null,
  asked: null,
  provenance: null,
  clicks: true,
  step: false,
  paused: false,
  branches: false,
  saved: null,
  replay: null,
};

/** One agent's row. */
export interface Agent {
  id: string;
  parent: string | null;
  depth: number;
  question: string;
  name: string | null;
  status: Status;
  activity: Activity;
  /** What is said of what it waits for, where that is more than its name: how long a prompt is read. */
  wait: string | null;
  model: string | null;
  turns: number;
  cells: number;
  sub_calls: number;
  tool_calls: number;
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  /** Its cost and that of all agents below it. */
  cost_total: number | null;
  started: number | null;
  elapsed: number | null;
  value: string | null;
  error: string | null;
  variables: number;
  rev: number;
  /** The cell that waits for `next` in step mode. */
  pending_code: string | null;
  /** What the timeline draws; without it a lane is one bar. */
  spans: Span[] | null;
  /** The run that it belongs to, where that is a branch of the one that is shown. */
  branch: string | null;
}

/** The value of each field that a row leaves out. */
export const AGENT_DEFAULTS: Agent = {
  id: "",
  parent: null,
  depth: 0,
  question: "",
  name: null,
  status: "running",
  activity: "",
  wait: null,
  model: null,
  turns: 0,
  cells: 0,
  sub_calls: 0,
  tool_calls: 0,
  input_tokens: 0,
  output_tokens: 0,
  cost: null,
  cost_total: null,
  started: null,
  elapsed: null,
  value: null,
  error: null,
  variables: 0,
  rev: 0,
  pending_code: null,
  spans: null,
  branch: null,
};

/** A part of a container. */
export interface Item {
  /** The key of a dict's item; None for a list's. */
  key?: string | null;
  type?: string;
  bytes?: number | null;
  summary?: string;
}

/** A column of a table. */
export interface Column {
  name: string;
  dtype?: string;
  nulls?: number | null;
}

export type Place = "memory" | "disk" | "shared";

/** What is shown of a value: made and bounded by the kernel that holds it, checked here. */
export interface Description {
  type?: string;
  summary?: string;
  bytes?: number | null;
  shape?: (number | null)[] | null;
  length?: number | null;
  columns?: Column[];
  rows?: unknown[][];
  preview?: string;
  items?: Item[];
  truncated?: boolean;
  /** Of a chart that a cell has shown, or that is the answer. */
  thumbnail?: CardPicture;
  /** The turn that made it. */
  turn?: number | null;
  place?: Place | null;
  /** A name under which the notebook can be given it without overwriting another. */
  free_name?: string | null;
}

/** A variable of an agent's kernel. */
export interface Variable extends Description {
  name: string;
}

export type CellStatus = "running" | "ok" | "error" | "interrupted" | "timeout" | "died";

/** A figure or image that a cell has shown. */
export interface Picture {
  summary: string;
  width: number;
  height: number;
  /** Base64; empty if there is no room for it. */
  png: string;
}

/** A cell that an agent ran. */
export interface Cell {
  cell: number;
  code: string;
  output: string;
  /** Characters of the output that the kernel did not send. */
  cut: number;
  status: CellStatus;
  error: string | null;
  seconds: number | null;
  pictures?: Picture[];
}

/** A call of a tool or an MCP server. */
export interface ToolCall {
  name: string;
  seconds: number | null;
  ok: boolean;
  error?: string | null;
}

/** A branch that leaves a run at a turn. */
export interface TurnBranch {
  /** Its row in the tree. */
  agent: string;
  title: string;
}

/** One reply of the model and the cells in it. */
export interface Turn {
  turn: number;
  sent_chars: number;
  reply: string;
  cells: Cell[];
  /** Characters of this turn that this message leaves out; `open` with its number sends it whole. */
  shortened: number;
  /** The newest ones. */
  tool_calls: ToolCall[];
  /** How many there were in all. */
  tools_called: number;
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  model: string | null;
  finish_reason: string | null;
  cached: boolean;
  /** The provider reported no tokens. */
  estimated: boolean;
  started: number | null;
  seconds: number | null;
  streaming: boolean;
  /** Why there is no reply. */
  error: string | null;
  /** Runs that leave this one at this turn. */
  branches?: TurnBranch[];
}

/** A plain completion that an agent's code asked for. */
export interface SubCall {
  call: string | number;
  prompt: string;
  reply: string | null;
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  status: string;
  /** `llm_query`, `repair`, `fallback` (a sub-agent at the depth limit), `summary` (of old turns). */
  purpose: string | null;
  cached: boolean;
  estimated: boolean;
}

/** How many entries were left out, the oldest first, because a page is bounded. */
export interface Omitted {
  turns?: number;
  sub_calls?: number;
  variables?: number;
}

/** An agent's page. */
export interface Detail {
  question: string;
  context: Description | null;
  /** The tools and servers that its code may call. */
  tools: string[];
  /** The first look at its data that was run before its first turn, for a small model. */
  look: Cell | null;
  turns: Turn[];
  sub_calls: SubCall[];
  variables: Variable[];
  notices: string[];
  value: Description | null;
  error: string | null;
  cut: Omitted;
}

/** One message of a prompt. */
export interface PromptMessage {
  role: string;
  content: string;
}

/** All that was sent so far; one that is too large comes in `parts` messages of the same `seq`. */
export interface SnapshotMessage {
  kind: "snapshot";
  seq: number;
  part?: number;
  parts?: number;
  run: Partial<Run>;
  agents: Record<string, Partial<Agent>>;
}

/** What changed since the patch before it. */
export interface PatchMessage {
  kind: "patch";
  seq: number;
  run?: Partial<Run>;
  agents?: Record<string, Partial<Agent>>;
  /** Agents that have not begun at the moment that is shown now. */
  gone?: string[];
  /** Of those, agents that have begun again: as they were told last, but for what `agents` says. */
  back?: string[];
}

/** The answer to `open`. */
export interface DetailMessage {
  kind: "detail";
  request: string;
  agent: string;
  detail: Detail;
}

/** The answer to `prompt`. */
export interface PromptAnswer {
  kind: "prompt";
  request: string;
  agent: string;
  messages: PromptMessage[];
}

/** A command was carried out. */
export interface OkMessage {
  kind: "ok";
  request: string;
  message?: string | null;
  /** What a cell printed. */
  output?: string | null;
  /** How a cell ended. */
  status?: string;
}

/** A command was not carried out. */
export interface ErrorMessage {
  kind: "error";
  request: string;
  message: string;
  /** `exists`: a pull would overwrite a name. */
  reason?: string | null;
}

export type Answer = DetailMessage | PromptAnswer | CodeMessage | OutlineMessage | OkMessage | ErrorMessage;

/** The answer card in the messages between the widget's two sides: a part of `protocol`, and declared as there. */
export type Incoming = SnapshotMessage | PatchMessage | Answer;

export type TextStyle = "" | "strong" | "emphasis" | "code";

/** A stretch of text in one style. */
export type StyledText = [TextStyle, string];

/** A paragraph, heading, item of a list, quotation or block of code. */
export interface TextBlock {
  kind: "paragraph" | "heading" | "item" | "quote" | "code";
  text: StyledText[];
  /** Of a heading, from 1; of an item or quotation, how far it is indented, from 0. */
  level: number;
  /** Of an item of a numbered list. */
  number: number | null;
}

/** A column of a table on a card. */
export interface CardColumn {
  name: string;
  number: boolean;
  index: boolean;
}

/** A chart on a card. */
export interface CardPicture {
  width: number;
  height: number;
  /** Base64, written by the notebook's process. */
  png: string;
}

/** A passage of the data that an answer cites, as it was found there: where it stands, and what is around it. */
export interface CardPassage {
  /** Such as `context, line 3`. */
  place: string;
  quote: string;
  before: string;
  after: string;
}

/** A value on a card, or a part of one; each has its `kind`, and what goes with it. */
export interface CardPart {
  kind: "text" | "number" | "plain" | "table" | "record" | "list" | "picture";
  type?: string;
  /** Its key in a dict. */
  label?: string;
  /** Of a number all digits, as JavaScript could not hold them. */
  text?: string;
  unit?: string;
  /** A text, cut into what it consists of. */
  blocks?: TextBlock[];
  /** Of a text that is a passage of the data; it is quoted, not set as Markdown. */
  passage?: CardPassage;
  columns?: CardColumn[];
  rows?: string[][];
  parts?: CardPart[];
  /** Such as `1,200 rows, 6 columns`. */
  shape?: string;
  /** What of it is not on the card, such as `1,190 more rows`. */
  more?: string;
  picture?: CardPicture;
}

/** What the samples of a question say of its answer. */
export interface CardAgreement {
  /** Such as `2 of 3 agree`. */
  text: string;
  /** How many agree with the answer: all, more than one, or at most one. */
  state: "all" | "some" | "none";
  /** What the agent that reconciled them says of its check; may be empty. */
  why: string;
  /** What its check gave. */
  check: string;
  /** Where the answers differ. */
  table: CardPart | null;
}

/** What a run was asked for, and what that took; there is none while it goes on. */
export interface Card {
  /** `Answer`, `Partial answer` or `No answer`. */
  title: string;
  value: CardPart | null;
  /** What the value is, on one line. */
  summary: string;
  /** Whether nothing of the value is missing on the card. */
  whole: boolean;
  /** Of the samples of the question; null if it had none. */
  agreement: CardAgreement | null;
  error: string | null;
  facts: string[];
  /** What agents asked the user and took for granted, because nobody answered; with the reason. */
  assumptions?: string[];
  /** How much of the data the model was shown. */
  seen: string;
}

/** A statement of the code: where it came from, and what it did to the data. */
export interface CodeStep {
  agent: string;
  /** 0 is the first look at the data. */
  turn: number;
  cell: number;
  /** First and last line in that cell, from 1. */
  lines: [number, number];
  /** First and last line in the code, from 1. */
  places: [number, number][];
  /** Rows in and out, such as `orders 5,000 → late 1,204 rows`; may be empty. */
  flow: string;
  /** The conditions by which it chooses rows, as Python text. */
  filters: string[];
  /** How many further agents ran the same statement. */
  alike: number;
}

/** The code behind an answer. */
export interface CodeText {
  source: string;
  /** What is put into a cell: in a function where it would bind a variable of the notebook; empty for no room. */
  cell: string;
  /** Characters at its end that are not here. */
  cut: number;
  verdict: "reproduced" | "differs" | "failed" | "not tried";
  detail: string;
  /** Of the characters of all code that ran. */
  share: number;
  /** Answers of plain completions that it holds. */
  recorded: number;
  steps: CodeStep[];
  /** Steps that are not here. */
  left_out: number;
  /** Label of a part of the answer → the steps that it rests on, by their places in `steps`. */
  parts: Record<string, number[]>;
}

/** The answer to `code`. */
export interface CodeMessage {
  kind: "code";
  request: string;
  code: CodeText;
}

/** Where the data of one agent is: what stays in its kernel, what the model reads, what goes up to its parent. */
export interface Flow {
  agent: string;
  parent: string | null;
  /** Its data in a line. */
  context: string | null;
  /** Of its data. */
  kernel_bytes: number | null;
  variables: number;
  /** Of its prompts so far; of one without a reply an estimate. */
  prompt_tokens: number;
  output_tokens: number;
  /** Values that came up to it from its sub-agents. */
  received: number;
  /** Its own value in a line, once it went up. */
  value: string | null;
}

/** Which moment of a run is shown; the rest of the state is that of this moment. */
export interface Replay {
  /** How many events have happened. */
  position: number;
  /** How many there are. */
  events: number;
  /** Since the start of the run. */
  seconds: number;
  /** What happens now, in a sentence. */
  caption: string;
  /** The agent of which the caption tells. */
  agent: string | null;
  /** Names the moment, as in `agent 0.3, turn 2`, for people to pass on and to go to. */
  place: string;
  /** Whether the run goes on meanwhile. */
  live: boolean;
  /** Whether there is nothing else to go back to: a log, or a file. */
  only: boolean;
  flow: Flow | null;
}

export type MarkKind = "agent" | "error" | "value" | "limit";

/** Something to see on the slider: after how many events, what, and of which agent. */
export type Mark = [number, MarkKind, string];

/** After how many events; seconds of the replay, in which long waits are shortened; seconds of the run. */
export type Point = [number, number, number];

/** What the slider of a replay needs. */
export interface Outline {
  events: number;
  /** Bounded; between two of them time goes evenly. */
  points: Point[];
  /** Bounded; one of a kind for each stretch of the slider. */
  marks: Mark[];
}

/** The answer to `outline`. */
export interface OutlineMessage {
  kind: "outline";
  request: string;
  outline: Outline;
}

/** Asks for a snapshot. */
export interface HelloCommand {
  kind: "hello";
}

/** Asks for an agent's page. */
export interface OpenCommand {
  kind: "open";
  agent: string;
  /** The turn that must be whole. */
  turn?: number;
}

/** Asks for the messages of an agent's newest prompt. */
export interface PromptCommand {
  kind: "prompt";
  agent: string;
}

/** Asks for the code behind the answer, run again if it can be. */
export interface CodeCommand {
  kind: "code";
}

/** Stops an agent and all below it; None stops the run. */
export interface StopCommand {
  kind: "stop";
  agent: string | null;
}

/** Assigns an agent's variable in the notebook; an empty name is the value given to FINAL. */
export interface PullCommand {
  kind: "pull";
  agent: string;
  name: string;
  /** The name in the notebook. */
  target: string;
  overwrite: boolean;
}

/** Runs a cell in an agent's kernel. */
export interface ExecCommand {
  kind: "exec";
  agent: string;
  code: string;
}

/** Starts a sub-agent with the same question beside one that failed. */
export interface RetryCommand {
  kind: "retry";
  agent: string;
}

/** Changes a limit of the run. */
export interface LimitCommand {
  kind: "limit";
  name: string;
  value: number;
}

/** Lets a cell run that waits in step mode, edited if `code` is set. */
export interface NextCommand {
  kind: "next";
  agent: string;
  code: string | null;
}

/** Hands over the reply that a person writes in the place of an agent's model. */
export interface ReplyCommand {
  kind: "reply";
  agent: string;
  text: string;
}

/** Answers what an agent's code asks the user. */
export interface AnswerCommand {
  kind: "answer";
  agent: string;
  number: number;
  /** The number of the option that was chosen, from 0. */
  option: number | null;
  /** What was typed, if there are no options. */
  text: string | null;
}

/** Asks from a turn of a run that has ended, with other code or another observation: a run of its own. */
export interface BranchCommand {
  kind: "branch";
  agent: string;
  turn: number;
  change: "code" | "observation";
  /** The code, or what the model is told after the turn. */
  text: string;
}

/** Makes each turn wait for `next`. */
export interface PauseCommand {
  kind: "pause";
}

/** Ends the pause. */
export interface ResumeCommand {
  kind: "resume";
}

export type Step = "event" | "turn" | "agent";

/** Shows the run as it was at another moment; without any of these, as it is now. */
export interface SeekCommand {
  kind: "seek";
  /** After how many events; of a step, where it begins. */
  position?: number;
  /** Goes to the next one of these, or the one before. */
  step?: Step;
  back?: boolean;
  /** Such as `agent 0.3, turn 2`, or `event 120`. */
  place?: string;
}

/** Asks for what the slider needs. */
export interface OutlineCommand {
  kind: "outline";
}

export type Command =
  | HelloCommand
  | OpenCommand
  | PromptCommand
  | CodeCommand
  | StopCommand
  | PullCommand
  | ExecCommand
  | RetryCommand
  | LimitCommand
  | NextCommand
  | ReplyCommand
  | AnswerCommand
  | BranchCommand
  | PauseCommand
  | ResumeCommand
  | SeekCommand
  | OutlineCommand;
