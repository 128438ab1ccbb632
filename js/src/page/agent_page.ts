/** An agent's page: its turns, its variables, its commands. */

import { copyButton } from "../dom/code";
import { attribute, button, h, keyed, on, put, putLine, putLong, show, take, tip } from "../dom/dom";
import { duration, money, plural, tokens, whole } from "../dom/format";
import type { Agent, Description, Detail } from "../state/protocol";
import type { MarkedLines, Session } from "../state/session";
import { doingWords, stateOf } from "../state/visible_rows";
import { icon, setIcon } from "../tree/icons";
import { BranchView } from "./branch_form";
import { ExecView } from "./exec_form";
import { ReplyView } from "./reply_form";
import { StepView } from "./step_form";
import { drawCalls, drawLook, drawTurns, type TurnActions } from "./turns";
import { describe, scrollable, summaryOf } from "./value_view";
import { VariablesView } from "./variables";

export class PanelView {
  readonly element: HTMLElement;
  readonly variables: VariablesView;
  readonly #sign = icon("running");
  readonly #id = h("span.rlm-id");
  readonly #title = h("h3.rlm-panel-title", { tabindex: -1 });
  readonly #facts = h("div.rlm-panel-facts");
  readonly #stop: HTMLButtonElement;
  readonly #retry: HTMLButtonElement;
  readonly #prompt: HTMLButtonElement;
  readonly #close: HTMLButtonElement;
  readonly #error = h("div.rlm-alert");
  readonly #below = h("div.rlm-below-list");
  readonly #scroll = scrollable(h("div.rlm-page"), "Turns");
  readonly #question = h("pre.rlm-prose.rlm-task");
  readonly #context = new ValueView("Context");
  readonly #tools = h("div.rlm-given");
  readonly #look = h("section.rlm-look");
  readonly #turns = h("div.rlm-turns");
  readonly #cut: HTMLButtonElement;
  readonly #calls = h("details.rlm-calls");
  readonly #callsTitle = h("summary");
  readonly #callList = h("div");
  readonly #value = new ValueView("Value");
  readonly #notices = h("ul.rlm-notes");
  readonly #waiting = h("p.rlm-empty");
  readonly #messages = scrollable(h("div.rlm-messages"), "Prompt");
  readonly #reply: ReplyView;
  readonly #step: StepView;
  readonly #branch: BranchView;
  readonly #exec: ExecView;
  #agent: Agent | null = null;
  #missing = 0;
  /** Whether branches can be started from its turns. */
  #offered = false;
  #stick = true;
  #drawn: Detail | undefined;
  #drawnMark: MarkedLines | null = null;
  /** The lines that are to be brought into view when they are there. */
  #wanted: MarkedLines | null = null;
  #drawnBelow = "";

  constructor(
    private readonly session: Session,
    leave: () => void,
  ) {
    this.#stop = button("Stop", { class: "rlm-danger", title: "Stop this agent and its sub-agents" }, () => {
      if (this.#agent) session.send({ kind: "stop", agent: this.#agent.id });
    });
    this.#retry = button("Retry", { title: "Ask again, of a new sub-agent beside this one" }, () => {
      if (this.#agent) session.send({ kind: "retry", agent: this.#agent.id });
    });
    this.#prompt = button("Prompt", { title: "The exact messages that the model was sent" }, () =>
      this.#togglePrompt(),
    );
    this.#cut = button("", { class: "rlm-quiet" }, () => {
      if (this.#agent) session.wholeTurn(this.#agent.id, this.#missing);
    });
    this.#close = button("", { class: "rlm-quiet", "aria-label": "Close", title: "Close" }, () => leave());
    this.#close.append(icon("close"));
    this.#calls.append(this.#callsTitle, this.#callList);
    this.variables = new VariablesView(session);
    this.#reply = new ReplyView(session);
    this.#step = new StepView(session);
    this.#branch = new BranchView(session);
    this.#exec = new ExecView(session);
    const commands = h("div.rlm-commands", {}, this.#retry, this.#prompt, this.#stop, this.#close);
    const head = h(
      "div.rlm-panel-head",
      {},
      h("div.rlm-panel-line", {}, this.#sign, this.#id, this.#title, commands),
      this.#facts,
    );
    this.#scroll.append(
      this.#question,
      this.#context.element,
      this.#tools,
      this.#look,
      this.#cut,
      this.#turns,
      this.#calls,
      this.#value.element,
      this.#notices,
      this.#waiting,
    );
    this.element = h(
      "section.rlm-panel",
      {},
      head,
      this.#error,
      this.#below,
      this.#scroll,
      this.#messages,
      this.#step.element,
      this.#branch.element,
      this.#reply.element,
      this.variables.element,
      this.#exec.element,
    );
    on(this.#scroll, "scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
      this.#stick = scrollTop + clientHeight >= scrollHeight - 24;
    });
    on(this.element, "keydown", (event) => this.#onKey(event, leave));
  }

  update(): void {
    const { session } = this;
    const selected = session.choices.selected;
    const agent = selected === null ? null : (session.store.agents.get(selected) ?? null);
    show(this.element, agent !== null);
    if (agent === null) {
      this.#agent = null;
      return;
    }
    const other = this.#agent !== agent;
    this.#agent = agent;
    if (other) this.#stick = agent.status === "running";
    const detail = session.details.get(agent.id);
    this.#updateHead(agent);
    this.#updateError(agent, detail);
    const prompt = session.choices.prompts.has(agent.id);
    show(this.#scroll, !prompt);
    show(this.#messages, prompt);
    if (prompt) this.#updateMessages(agent);
    const marked = this.#marked(agent);
    const offered = session.canBranch(agent);
    const changed = detail !== this.#drawn || marked !== this.#drawnMark || offered !== this.#offered;
    this.#offered = offered;
    if (other || !detail || changed) this.#updatePage(agent, detail, marked);
    this.#reply.update(agent);
    this.#step.update(agent);
    this.#branch.update(agent, detail);
    this.variables.update(agent.id, detail);
    this.#exec.update(agent);
    if (other) this.#scroll.scrollTop = 0;
    // Who reads along with a running agent stays at its newest line; an ended one is read from its first.
    const along = this.#stick && agent.status === "running";
    if (along && (other || detail !== this.#drawn)) this.#scroll.scrollTop = this.#scroll.scrollHeight;
    this.#drawn = detail;
    this.#bringIntoView(marked);
  }

  #marked(agent: Agent): MarkedLines | null {
    const { marked } = this.session.choices;
    return marked?.agent === agent.id ? marked : null;
  }

  /** Once for each time that the reader asks for lines: nothing moves by itself later. */
  #bringIntoView(marked: MarkedLines | null): void {
    if (marked !== this.#drawnMark) this.#wanted = marked;
    this.#drawnMark = marked;
    const lines = this.#wanted ? this.#scroll.querySelector<HTMLElement>(".rlm-marked") : null;
    if (!lines) return;
    this.#wanted = null;
    lines.scrollIntoView({ block: "center" });
    lines.focus({ preventScroll: true });
  }

  focus(wanted: "page" | "pull" | "stop"): void {
    const control = !this.session.readonly ? wanted : "page";
    if (control === "pull" && !this.variables.element.hidden) {
      this.session.choices.variablesOpen = true;
      const id = this.#agent?.id ?? "";
      this.variables.update(id, this.session.details.get(id));
      this.variables.field.focus();
      this.variables.field.select();
    } else if (control === "stop" && !this.#stop.hidden) this.#stop.focus();
    else if (control === "page") this.#title.focus();
  }

  #updateHead(agent: Agent): void {
    const { requests, store } = this.session;
    const { saved } = store.run;
    const state = stateOf(agent);
    const running = agent.status === "running";
    setIcon(this.#sign, state);
    attribute(this.element, "data-state", state);
    attribute(this.element, "aria-label", `Agent ${agent.id}`);
    put(this.#id, agent.id);
    putLine(this.#title, agent.name ?? agent.question, 300);
    tip(this.#title, agent.question);
    const facts = [
      doingWords(agent),
      duration(this.session.elapsed(agent), running),
      `${agent.cost === null ? "cost unknown" : money(agent.cost)}${withBelow(agent)}`,
      plural(agent.turns, "turn"),
      agent.tool_calls ? plural(agent.tool_calls, "tool call") : "",
      `${tokens(agent.input_tokens)} in, ${tokens(agent.output_tokens)} out`,
      agent.model ?? "",
    ];
    const words = facts.filter((each) => each !== "").join(" · ");
    put(this.#facts, words);
    tip(this.#facts, words);
    const root = agent.parent === null;
    // A branch is a run of its own, whose own tree has its commands.
    const commands = !this.session.readonly && agent.branch === null;
    attribute(this.element, "data-branch", agent.branch !== null);
    show(this.#stop, running && !root && commands);
    const stopping = requests.isPending(`stop:${agent.id}`);
    attribute(this.#stop, "data-pending", stopping);
    attribute(this.#stop, "aria-disabled", stopping ? "true" : null);
    const again = agent.status === "failed" || agent.status === "stopped";
    show(this.#retry, !root && again && commands);
    show(this.#prompt, saved === null || saved === "all");
    attribute(this.#retry, "data-pending", requests.isPending(`retry:${agent.id}`));
    attribute(this.#prompt, "aria-pressed", String(this.session.choices.prompts.has(agent.id)));
  }

  #updateError(agent: Agent, detail: Detail | undefined): void {
    const { requests } = this.session;
    const failed = ["stop", "retry", "open", "prompt"]
      .map((kind) => requests.get(`${kind}:${agent.id}`))
      .find((request) => request?.state === "error");
    const own = detail?.error ?? agent.error;
    const words = [own ?? "", failed?.message ?? ""].filter((each) => each !== "").join("\n");
    show(this.#error, words !== "");
    putLong(this.#error, words);
    this.#updateBelow(agent);
  }

  /** An error is told where it happened and on the way up to the root. */
  #updateBelow(agent: Agent): void {
    const { store } = this.session;
    const drawn = `${agent.id} ${store.failing} ${store.structure}`;
    if (drawn === this.#drawnBelow) return;
    this.#drawnBelow = drawn;
    const count = store.failures(agent.id);
    const shown = count > 0 ? store.failed(agent.id, 3) : [];
    show(this.#below, shown.length > 0);
    keyed(
      this.#below,
      shown,
      ({ id }) => id,
      ({ id }) => button("", { class: "rlm-quiet" }, () => this.session.select(id)),
      (element, { id, error }, at) => {
        const more = at === 2 && count > 3 ? ` (and ${whole(count - 3)} more)` : "";
        putLine(element, `${id} failed: ${error ?? "its page says why"}${more}`, 200);
      },
    );
  }

  #updatePage(agent: Agent, detail: Detail | undefined, marked: MarkedLines | null): void {
    const request = this.session.requests.get(`open:${agent.id}`);
    show(this.#waiting, detail === undefined && request?.state !== "error");
    if (!detail) {
      const slow = this.session.store.run.clicks
        ? "The kernel has not answered yet: it may be busy with another cell, or gone."
        : "Available when the cell finishes.";
      put(this.#waiting, request?.state === "slow" || !this.session.store.run.clicks ? slow : "Loading …");
    }
    const question = detail?.question ?? agent.question;
    put(this.#question, question);
    // The title says a short one already.
    show(this.#question, question.length > 60 || question.includes("\n") || agent.name !== null);
    this.#context.update(detail?.context ?? null);
    show(this.#tools, Boolean(detail?.tools?.length));
    putLine(this.#tools, `Tools: ${detail?.tools?.join(", ") ?? ""}`, 600);
    drawLook(this.#look, detail?.look ?? null, marked);
    const { session } = this;
    const actions: TurnActions = {
      whole: (turn) => session.wholeTurn(agent.id, turn),
      branch: this.#offered ? (turn) => session.beginBranch(agent.id, turn) : null,
      select: (id) => session.select(id),
    };
    drawTurns(this.#turns, detail?.turns ?? [], actions, marked);
    this.#updateCut(detail);
    const calls = detail?.sub_calls ?? [];
    show(this.#calls, calls.length > 0);
    put(this.#callsTitle, `${plural(calls.length, "plain model call")} from its code`);
    drawCalls(this.#callList, calls);
    this.#value.update(detail?.value ?? null);
    keyed(
      this.#notices,
      detail?.notices ?? [],
      (_, at) => String(at),
      () => h("li"),
      (element, notice) => put(element, notice),
    );
  }

  #updateCut(detail: Detail | undefined): void {
    const count = detail?.cut?.turns ?? 0;
    const shown = detail?.turns.map((turn) => turn.turn) ?? [];
    this.#missing = count > 0 ? lastMissing(shown) : 0;
    show(this.#cut, this.#missing > 0);
    const saved = this.session.store.run.saved !== null;
    attribute(this.#cut, "disabled", saved);
    const rest = saved ? "of this file" : `· show turn ${this.#missing}`;
    put(this.#cut, `${plural(count, "turn")} left out ${rest}`);
  }

  #togglePrompt(): void {
    if (!this.#agent) return;
    const { prompts } = this.session.choices;
    if (!prompts.delete(this.#agent.id)) {
      prompts.add(this.#agent.id);
      this.session.send({ kind: "prompt", agent: this.#agent.id });
    }
    this.session.changed();
  }

  #updateMessages(agent: Agent): void {
    const messages = this.session.prompts.get(agent.id) ?? [];
    keyed(
      this.#messages,
      messages,
      (_, at) => String(at),
      () => {
        const body = h("pre.rlm-prose");
        const tools = h(
          "div.rlm-turn-head",
          {},
          h("h4"),
          copyButton("Copy", () => body.dataset.raw ?? ""),
        );
        return h("section.rlm-turn", {}, tools, body);
      },
      (element, message) => {
        const body = element.lastElementChild as HTMLElement;
        put(element.querySelector("h4") as Element, message.role);
        put(body, message.content);
        body.dataset.raw = message.content;
      },
    );
  }

  #onKey(event: KeyboardEvent, leave: () => void): void {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    take(event);
    leave();
  }
}

/** The newest turn that is not there, counted back from the last; 0: none. */
export function lastMissing(turns: readonly number[]): number {
  for (let turn = Math.max(0, ...turns); turn > 0; turn -= 1) if (!turns.includes(turn)) return turn;
  return 0;
}

function withBelow(agent: Agent): string {
  const more = agent.cost_total !== null && agent.cost !== null && agent.cost_total - agent.cost > 1e-9;
  return more ? ` (${money(agent.cost_total)} with sub-agents)` : "";
}

/** A described value under a title, folded. */
class ValueView {
  readonly element: HTMLDetailsElement;
  readonly #summary = h("span.rlm-call-text");
  readonly #body = h("div");
  #drawn: Description | null = null;

  constructor(private readonly title: string) {
    this.element = h(
      "details.rlm-described",
      { open: title === "Value" },
      h("summary", {}, h("b", {}, title), this.#summary),
      this.#body,
    );
  }

  update(value: Description | null): void {
    show(this.element, value !== null);
    if (value === null || value === this.#drawn) return;
    this.#drawn = value;
    putLine(this.#summary, summaryOf(value), 300);
    const body = describe(value, this.title);
    this.#body.replaceChildren(...(body ? [body] : []));
  }
}
