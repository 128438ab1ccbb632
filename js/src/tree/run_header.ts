/** The head of a run: question, spend against its limits, what the model has seen, and the run's commands. */

import { CardView } from "../card/card";
import { CodePanel } from "../card/code_panel";
import { attribute, button, h, keepKeys, on, percents, put, putLine, show, tip } from "../dom/dom";
import { bytes, duration, money, moneyLimit, percent, plural, tokens, whole } from "../dom/format";
import { gist } from "../page/value_view";
import type { Places, Run } from "../state/protocol";
import type { Session } from "../state/session";
import { stateOf, stateWords } from "../state/visible_rows";
import { icon, setIcon } from "./icons";
import { QuestionView } from "./question_form";
import { shortModel } from "./tree_row";

/** A token is about this many bytes of text; the share of the context that was seen is an estimate. */
const BYTES_PER_TOKEN = 4;

export class HeadView {
  readonly element: HTMLElement;
  readonly #sign = icon("running");
  readonly #question = h("span.rlm-question");
  readonly #state = h("span.rlm-badge");
  readonly #scripted = h("span.rlm-scripted", { title: "No language model answers here" }, "scripted");
  readonly #stop: HTMLButtonElement;
  readonly #pause: HTMLButtonElement;
  readonly #facts = h("div.rlm-facts");
  readonly #time = fact("Time");
  readonly #agents = fact("Agents");
  readonly #flight = fact("In flight");
  readonly #model = fact("Model");
  readonly #values = fact("Values");
  readonly #meters: Meter[];
  readonly #exposure: Meter;
  readonly #hidden = fact("Hidden");
  readonly #card: CardView;
  readonly #code: CodePanel;
  readonly #asked: QuestionView;
  readonly #seen = new SeenView();
  readonly #result = h("div.rlm-result");
  readonly #notes = h("ul.rlm-notes");
  #drawnNotes = "";

  constructor(private readonly session: Session) {
    this.#stop = button("Stop", { class: "rlm-danger", title: "Stop the whole run" }, () => {
      session.send({ kind: "stop", agent: null });
    });
    this.#pause = button("Pause", {}, () => {
      session.send({ kind: session.store.run.paused ? "resume" : "pause" });
    });
    this.#asked = new QuestionView(session);
    this.#card = new CardView(session);
    this.#code = new CodePanel(session, () => this.#card.focusCode());
    this.#meters = [
      new Meter(session, "Cost", "cost", money, moneyLimit, (run) => [run.cost, run.cost_limit]),
      new Meter(session, "Tokens", "tokens", tokens, tokens, (run) => [
        run.input_tokens + run.output_tokens,
        run.token_limit,
      ]),
      new Meter(session, "Calls", "calls", whole, whole, (run) => [run.calls, run.call_limit]),
    ];
    this.#exposure = new Meter(session, "Data sent", "exposure", tokens, tokens, (run) => [
      run.data_tokens,
      run.exposure_limit,
    ]);
    this.#facts.append(
      this.#time.element,
      ...this.#meters.map((meter) => meter.element),
      this.#exposure.element,
      this.#hidden.element,
      this.#agents.element,
      this.#flight.element,
      this.#model.element,
      this.#values.element,
    );
    this.element = h(
      "section.rlm-head",
      { "aria-label": "Run" },
      h(
        "div.rlm-title",
        {},
        this.#sign,
        this.#question,
        this.#scripted,
        this.#state,
        this.#pause,
        this.#stop,
      ),
      this.#asked.element,
      this.#card.element,
      this.#code.element,
      this.#facts,
      this.#seen.element,
      this.#result,
      this.#notes,
    );
  }

  update(): void {
    const { session } = this;
    const { run } = session.store;
    const { root } = session;
    const running = run.status === "running";
    setIcon(this.#sign, running && root ? stateOf(root) : run.status);
    attribute(this.element, "data-state", run.status);
    put(this.#question, run.question);
    tip(this.#question, run.question);
    put(this.#state, run.paused && running ? "paused" : stateWords(run.status));
    show(this.#scripted, run.scripted);
    this.#updateButtons(run, running);
    this.#time.put(duration(session.elapsed(run), running));
    this.#agents.put(`${whole(run.agents)}${run.depth > 0 ? ` · depth ${run.depth}` : ""}`);
    this.#flight.put(running ? whole(run.in_flight) : "");
    const models = [run.model, run.sub_model !== run.model ? run.sub_model : null].filter(
      (each) => each !== null,
    );
    this.#model.put(models.map(shortModel).join(" + "));
    this.#values.put(placesWords(run.values));
    tip(
      this.#values.element,
      run.values?.limit ? `Above ${bytes(run.values.limit)} values go to disk` : null,
    );
    for (const meter of [...this.#meters, this.#exposure]) meter.update(run);
    show(this.#exposure.element, run.exposure_limit !== null || run.hidden.length > 0);
    this.#hidden.put(run.hidden.join(", "));
    this.#asked.update();
    this.#seen.update(run);
    this.#card.update();
    this.#code.update();
    this.#updateResult(run);
    this.#updateNotes(run);
  }

  #updateButtons(run: Run, running: boolean): void {
    const { requests, store } = this.session;
    show(this.#stop, running && store.seq >= 0);
    const stopping = requests.isPending("stop:") || requests.get("stop:")?.state === "done";
    attribute(this.#stop, "aria-disabled", stopping ? "true" : null);
    attribute(this.#stop, "data-pending", stopping);
    show(this.#pause, running && store.seq >= 0 && run.clicks);
    put(this.#pause, run.paused ? "Resume" : "Pause");
    attribute(this.#pause, "data-pending", requests.isPending("pause") || requests.isPending("resume"));
  }

  #updateResult(run: Run): void {
    const text = run.error ?? run.value;
    show(this.#result, text !== null && run.status !== "running" && run.card === null);
    attribute(this.#result, "data-state", run.status);
    putLine(this.#result, run.error ?? `Answer: ${this.#answer(run.value ?? "")}`, 600);
    tip(this.#result, text);
  }

  /** What the value is, and as much of itself as its description quotes. */
  #answer(summary: string): string {
    const value = this.session.details.get(this.session.root?.id ?? "")?.value;
    const preview = value ? gist(value) : "";
    if (preview === "" || preview === summary) return summary;
    return value?.type === "str" ? preview : `${summary} · ${preview}`;
  }

  #updateNotes(run: Run): void {
    const notes: string[] = [];
    if (run.provenance !== null) notes.push(run.provenance);
    const told = run.notices.some((notice) => notice.includes("--bg"));
    if (!run.clicks && run.status === "running" && !told) {
      notes.push(
        "Clicks reach this run only when its cell has ended. To stop it now use Kernel ▸ Interrupt; with --bg the buttons work while it runs.",
      );
    }
    const asked = ["stop:", "pause", "resume"].map((key) => this.session.requests.get(key));
    for (const request of asked) if (request?.state === "error") notes.push(request.message);
    const slow = this.session.lost || (run.clicks && asked.some((request) => request?.state === "slow"));
    if (this.session.gone) {
      notes.push("The kernel was restarted or shut down: buttons no longer work. Run the cell again.");
    } else if (slow && run.status === "running") {
      notes.push("The kernel has not answered for a while: it may be busy with another cell, or gone.");
    }
    if (run.expected !== null) notes.push(run.expected);
    notes.push(...run.notices.slice(-3));
    if (run.sandbox !== null && run.sandbox !== "") notes.push(`Sandbox: ${run.sandbox}`);
    const drawn = notes.join("\n");
    if (drawn === this.#drawnNotes) return;
    this.#drawnNotes = drawn;
    this.#notes.replaceChildren(...notes.map((note) => h("li", {}, note)));
  }
}

/** `1.2 GB · 300.0 MB on disk`; empty where nothing is known, or nothing is there. */
export function placesWords(places: Places | null): string {
  const { memory, disk, shared } = places ?? {};
  const parts = [
    memory || disk || shared ? bytes(memory ?? 0) : "",
    disk ? `${bytes(disk)} on disk` : "",
    shared ? `${bytes(shared)} shared` : "",
  ];
  return parts.filter((part) => part !== "").join(" · ");
}

function fact(title: string): { element: HTMLElement; put(text: string): void } {
  const value = h("span.rlm-value");
  const element = h("div.rlm-fact", {}, h("span.rlm-label", {}, title), value);
  return {
    element,
    put(text: string) {
      show(element, text !== "");
      put(value, text);
    },
  };
}

/** Spend against its limit; the limit can be raised while the run lasts. */
class Meter {
  readonly element: HTMLElement;
  readonly #value = h("span.rlm-value");
  readonly #limit: HTMLButtonElement;
  readonly #bar = h("span.rlm-meter", { role: "meter", "aria-valuemin": 0 });
  readonly #fill = h("i");
  readonly #field = h("input.rlm-field", { inputmode: "decimal", autocomplete: "off" });
  readonly #form = h("form.rlm-limit-form");

  constructor(
    private readonly session: Session,
    title: string,
    private readonly name: string,
    private readonly text: (value: number) => string,
    private readonly limitText: (value: number) => string,
    private readonly read: (run: Run) => [number | null, number | null],
  ) {
    this.#limit = button("", { class: "rlm-limit", title: `Raise the limit on ${name}` }, () => this.#edit());
    this.#bar.append(this.#fill);
    attribute(this.#bar, "aria-label", title);
    attribute(this.#field, "aria-label", `New limit: ${name}`);
    keepKeys(this.#field);
    on(this.#field, "keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#close();
    });
    this.#form.append(this.#field, h("button.rlm-button", {}, "Set"));
    on(this.#form, "submit", (event) => this.#submit(event));
    this.#form.hidden = true;
    const label = h("span.rlm-label", {}, title);
    this.element = h("div.rlm-fact", {}, label, this.#value, this.#limit, this.#form, this.#bar);
  }

  update(run: Run): void {
    const [value, limit] = this.read(run);
    const running = run.status === "running";
    put(this.#value, value === null ? "unknown" : this.text(value));
    show(this.#limit, limit !== null && this.#form.hidden === true);
    show(this.#bar, limit !== null);
    if (limit === null) return;
    put(this.#limit, `/ ${this.limitText(limit)}`);
    attribute(this.#limit, "disabled", !running || !run.clicks);
    const share = limit > 0 ? Math.min((value ?? 0) / limit, 1) : 1;
    this.#fill.style.width = percents(share);
    attribute(this.#bar, "data-level", share >= 0.9 ? "high" : share >= 0.7 ? "near" : null);
    attribute(this.#bar, "aria-valuemax", limit);
    attribute(this.#bar, "aria-valuenow", value ?? 0);
    attribute(
      this.#bar,
      "aria-valuetext",
      `${value === null ? "unknown" : this.text(value)} of ${this.limitText(limit)}`,
    );
    const request = this.session.requests.get(`limit:${this.name}`);
    attribute(this.#limit, "data-pending", request?.state === "pending");
  }

  #edit(): void {
    const [, limit] = this.read(this.session.store.run);
    this.#field.value = String(limit === null ? "" : limit * 2);
    show(this.#form, true);
    show(this.#limit, false);
    this.#field.focus();
    this.#field.select();
  }

  #close(): void {
    show(this.#form, false);
    this.session.changed();
    this.#limit.focus();
  }

  #submit(event: Event): void {
    event.preventDefault();
    const value = Number(this.#field.value.replace(/[$,_\s]/g, ""));
    attribute(this.#field, "aria-invalid", Number.isFinite(value) && value > 0 ? null : "true");
    if (!Number.isFinite(value) || value <= 0) return;
    this.session.send({ kind: "limit", name: this.name, value });
    this.#close();
  }
}

/** The picture that explains recursive language models: how little of the data any model has read. */
class SeenView {
  readonly element = h("div.rlm-seen");
  readonly #context = h("span.rlm-seen-context");
  readonly #fill = h("i");
  readonly #words = h("span.rlm-seen-words");

  constructor() {
    const bar = h("span.rlm-seen-bar", { "aria-hidden": "true" }, this.#fill);
    this.element.append(this.#context, bar, this.#words);
  }

  update(run: Run): void {
    const { context_bytes: size, seen_tokens: seen } = run;
    show(this.element, size !== null || run.context_summary !== null);
    const summary = run.context_summary ?? "";
    const amount = size === null || summary.includes(bytes(size)) ? "" : ` · ${bytes(size)}`;
    putLine(this.#context, `context: ${summary}${summary === "" ? amount.slice(3) : amount}`, 160);
    tip(this.#context, summary);
    const share = size && seen !== null ? Math.min((seen * BYTES_PER_TOKEN) / size, 1) : 0;
    this.#fill.style.width = percents(share);
    const about = size && seen !== null && share < 1 ? ` (about ${percent(share)} of the data)` : "";
    put(this.#words, seen === null ? "" : `seen by the model: ${plural(seen, "token")}${about}`);
  }
}
