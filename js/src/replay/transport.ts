/** The controls of a replay: play, steps, a slider over time with marks, and what happens at the moment. */

import { attribute, button, copy, h, keepKeys, keyed, on, percents, put, show, take } from "../dom/dom";
import { duration, whole } from "../dom/format";
import type { Mark, MarkKind, Replay, Step } from "../state/protocol";
import type { Session } from "../state/session";
import { FlowView } from "./flow";
import { Player, SPEEDS } from "./player";
import { positionAt, timeAt } from "./timing";

const MARK_WORDS: Record<MarkKind, string> = {
  agent: "started",
  error: "error",
  value: "gave its value",
  limit: "ended at a limit",
};

/** The outline of a run that goes on is asked for no more often than this; milliseconds. */
const OUTLINE_MS = 1000;
/** The slider has this many steps for a second. */
const FINE = 1000;

export class TransportView {
  readonly element: HTMLElement;
  readonly player: Player;
  readonly #play: HTMLButtonElement;
  readonly #slider: HTMLInputElement;
  readonly #marks = h("div.rlm-marks", { "aria-hidden": "true" });
  readonly #time = h("span.rlm-replay-time");
  readonly #caption = h("p.rlm-caption");
  readonly #error = h("p.rlm-replay-error", { role: "alert" });
  readonly #place: HTMLInputElement;
  readonly #copy: HTMLButtonElement;
  readonly #follow: HTMLButtonElement;
  readonly #explain: HTMLButtonElement;
  readonly #leave: HTMLButtonElement;
  readonly #flow = new FlowView();
  #outlineAt = Number.NEGATIVE_INFINITY;
  #drawnMarks: readonly Mark[] | null = null;
  #frame = 0;
  #editing = false;

  constructor(private readonly session: Session) {
    this.player = new Player(session);
    this.#play = button("Play", { class: "rlm-play", title: "Space" }, () => this.#toggle());
    this.#slider = h("input", { type: "range", min: 0, step: 1, "aria-label": "Moment of the run" });
    on(this.#slider, "input", () => this.#slide());
    this.#place = h("input.rlm-place", {
      type: "text",
      size: 18,
      "aria-label": "Go to a place",
      title: "A place such as “agent 0.3, turn 2”, or “event 120”: Enter goes there",
    });
    on(this.#place, "input", () => {
      this.#editing = true;
    });
    on(this.#place, "blur", () => {
      this.#editing = false;
      session.changed();
    });
    on(this.#place, "keydown", (event) => {
      if (event.key !== "Enter") return;
      take(event);
      this.#editing = false;
      this.#go({ place: this.#place.value });
    });
    keepKeys(this.#place);
    this.#copy = button("Copy place", { title: "Copies the place as text" }, () => this.#copyPlace());
    const { choices } = session;
    this.#follow = button("Follow", { title: "Show the page of the agent that does something" }, () => {
      choices.follow = !choices.follow;
      const agent = session.store.run.replay?.agent ?? null;
      if (choices.follow && agent !== null) session.select(agent, false);
      session.changed();
    });
    this.#explain = button("Explain", { title: "Draw where the data goes" }, () => {
      choices.explain = !choices.explain;
      session.changed();
    });
    this.#leave = button("Back to live", {}, () => {
      this.player.pause();
      session.seek();
    });
    this.element = this.#build();
    on(this.element, "keydown", (event) => this.#onKey(event));
  }

  #build(): HTMLElement {
    const speed = h("select.rlm-speed", { "aria-label": "Speed" });
    for (const each of SPEEDS) speed.append(h("option", { value: each, selected: each === 1 }, `${each}×`));
    on(speed, "change", () => {
      this.player.speed = Number(speed.value);
    });
    keepKeys(speed);
    const steps = (["event", "turn", "agent"] as const).map((step) => this.#steps(step));
    return h(
      "section.rlm-replay",
      { "aria-label": "Replay" },
      h(
        "div.rlm-replay-row",
        {},
        this.#play,
        h("div.rlm-scrub", {}, this.#marks, this.#slider),
        this.#time,
        speed,
      ),
      h(
        "div.rlm-replay-row",
        {},
        ...steps,
        this.#place,
        this.#copy,
        this.#follow,
        this.#explain,
        this.#leave,
      ),
      this.#caption,
      this.#error,
      this.#flow.element,
    );
  }

  #steps(step: Step): HTMLElement {
    const keys = { event: "← →", turn: "↑ ↓", agent: "[ ]" }[step];
    const go = (back: boolean) => () => this.#go({ step, back });
    return h(
      "span.rlm-steps",
      { role: "group", "aria-label": `Step by ${step}`, title: `Keys: ${keys}` },
      button("‹", { "aria-label": `Previous ${step}` }, go(true)),
      h("span", { "aria-hidden": "true" }, step),
      button("›", { "aria-label": `Next ${step}` }, go(false)),
    );
  }

  /** `[` and `]` step from anywhere in the view: the rows and the page use the other keys themselves. */
  listen(view: HTMLElement): void {
    const bracket = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
      if (this.session.store.run.replay !== null && !typing) this.#onBracket(event);
    };
    // Before the tree, where a letter goes to the row that begins with it.
    on(view, "keydown", bracket, { capture: true });
  }

  update(): void {
    const { session } = this;
    const { replay } = session.store.run;
    show(this.element, replay !== null);
    if (replay === null) {
      this.pause();
      return;
    }
    this.#askOutline(replay);
    this.#updateSlider(replay);
    put(this.#play, this.player.playing ? "Pause" : "Play");
    attribute(this.#play, "disabled", session.outline === null);
    put(this.#caption, replay.caption);
    const failed = session.requests.get("seek");
    put(this.#error, failed?.state === "error" ? failed.message : "");
    show(this.#error, failed?.state === "error");
    if (!this.#editing && this.#place.value !== replay.place) this.#place.value = replay.place;
    attribute(this.#follow, "aria-pressed", String(session.choices.follow));
    attribute(this.#explain, "aria-pressed", String(session.choices.explain));
    show(this.#leave, !replay.only);
    put(this.#leave, replay.live ? "Back to live" : "Leave replay");
    this.#flow.update(session.choices.explain ? replay.flow : null);
  }

  pause(): void {
    this.player.pause();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  #updateSlider(replay: Replay): void {
    const { outline } = this.session;
    const total = outline?.points.at(-1);
    const words = `event ${whole(replay.position)} of ${whole(replay.events)}`;
    put(this.#time, `${duration(replay.seconds, false)} · ${words}`);
    attribute(this.#slider, "aria-valuetext", `${words}, after ${duration(replay.seconds, false)}`);
    attribute(this.#slider, "max", Math.max(1, Math.round((total?.[1] ?? 0) * FINE)));
    if (outline === null || total === undefined) return;
    const value = String(Math.round(timeAt(outline.points, replay.position) * FINE));
    if (this.#slider.value !== value && !this.session.requests.isPending("seek")) this.#slider.value = value;
    this.#updateMarks(outline.marks, total[1] || 1);
  }

  #updateMarks(marks: readonly Mark[], total: number): void {
    if (marks === this.#drawnMarks) return;
    this.#drawnMarks = marks;
    const points = this.session.outline?.points ?? [];
    keyed(
      this.#marks,
      marks,
      ([position, kind]) => `${position} ${kind}`,
      () => h("i"),
      (element, [position, kind, agent]) => {
        attribute(element, "data-kind", kind);
        attribute(element, "title", `${agent || "the run"} ${MARK_WORDS[kind]}`);
        (element as HTMLElement).style.left = percents(timeAt(points, position) / total);
      },
    );
  }

  #askOutline(replay: Replay): void {
    const { outline, requests } = this.session;
    if (outline?.events === replay.events || requests.isPending("outline")) return;
    const now = Date.now();
    if (now - this.#outlineAt < OUTLINE_MS) return;
    this.#outlineAt = now;
    // Not while a view is being drawn: what is sent tells the views to draw.
    queueMicrotask(() => this.session.send({ kind: "outline" }));
  }

  #toggle(): void {
    if (this.player.playing) {
      this.pause();
      return;
    }
    this.player.play(performance.now());
    if (this.player.playing) this.#next();
  }

  #next(): void {
    this.#frame = requestAnimationFrame((now) => {
      this.player.frame(now);
      if (this.player.playing) this.#next();
    });
  }

  #slide(): void {
    const { outline, requests } = this.session;
    if (outline === null) return;
    this.pause();
    // Where the kernel is slower than the hand, the last place is asked for when it has answered.
    if (requests.isPending("seek")) {
      setTimeout(() => this.#slide(), 30);
      return;
    }
    const wanted = positionAt(outline.points, Number(this.#slider.value) / FINE);
    if (wanted !== this.session.store.run.replay?.position) this.session.seek({ position: wanted });
  }

  #go(wanted: { step?: Step; back?: boolean; place?: string; position?: number }): void {
    if (this.session.store.run.replay === null) return;
    this.pause();
    // A step begins where the one before it led to, which this page may not have heard of yet.
    this.session.seek(wanted);
  }

  async #copyPlace(): Promise<void> {
    const { replay } = this.session.store.run;
    if (replay === null) return;
    const done = await copy(replay.place);
    this.session.announcement = done ? `Copied: ${replay.place}` : "Could not be copied";
    put(this.#copy, done ? "Copied" : "Copy place");
    setTimeout(() => put(this.#copy, "Copy place"), 1500);
    this.session.changed();
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (by: Step, back: boolean) => {
      take(event);
      this.#go({ step: by, back });
    };
    switch (event.key) {
      case "ArrowLeft":
      case "ArrowRight":
        step("event", event.key === "ArrowLeft");
        break;
      case "ArrowUp":
      case "ArrowDown":
        step("turn", event.key === "ArrowUp");
        break;
      case "Home":
      case "End":
        take(event);
        this.#go({ position: event.key === "Home" ? 0 : Number.MAX_SAFE_INTEGER });
        break;
      case " ":
        // A button is pressed by it.
        if (event.target instanceof HTMLButtonElement) break;
        take(event);
        this.#toggle();
        break;
      default:
        this.#onBracket(event);
    }
  }

  #onBracket(event: KeyboardEvent): void {
    if (event.key !== "[" && event.key !== "]") return;
    take(event);
    this.#go({ step: "agent", back: event.key === "[" });
  }
}
