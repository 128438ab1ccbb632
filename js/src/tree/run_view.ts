/** One view of a run: head, tabs, tree, the agent's page; drawn once a frame at most. */

import { attribute, button, h, on, put, show, take } from "../dom/dom";
import { PanelView } from "../page/agent_page";
import { TransportView } from "../replay/transport";
import type { Session } from "../state/session";
import { HeadView } from "./run_header";
import { TreeView } from "./tree";

/** From this width on (pixels) the agent's page stands beside the tree, and the root's is open from the start. */
const WIDE = 820;

export class View {
  readonly element: HTMLElement;
  readonly #head: HeadView;
  readonly #tree: TreeView;
  readonly #panel: PanelView;
  readonly #tabs: HTMLButtonElement[];
  readonly #zoom: HTMLElement;
  readonly #transport: TransportView;
  readonly #replay: HTMLButtonElement;
  readonly #main: HTMLElement;
  readonly #live = h("div.rlm-live.rlm-offscreen", { "aria-live": "polite" });
  readonly #hideStatic = document.createElement("style");
  #frame = 0;
  #width = 0;
  readonly #ends: (() => void)[] = [];

  constructor(private readonly session: Session) {
    this.#head = new HeadView(session);
    const redraw = () => this.#schedule();
    this.#tree = new TreeView(session, redraw, (control) => {
      this.#draw();
      this.#panel.focus(control);
    });
    this.#panel = new PanelView(session, () => this.#leave());
    this.#tabs = (["tree", "timeline"] as const).map((name) => this.#tab(name));
    this.#zoom = h(
      "span.rlm-zoom",
      { title: "Drag over the lanes to zoom. Keys: + − 0, z for an agent, Shift with an arrow to move" },
      h("span.rlm-legend", { "aria-hidden": "true" }, ...legend()),
      button("−", { "aria-label": "Zoom out" }, () => this.#tree.axis.zoom(1.6)),
      button("+", { "aria-label": "Zoom in" }, () => this.#tree.axis.zoom(1 / 1.6)),
      button("Fit", { "aria-label": "Fit the whole run" }, () => this.#tree.axis.fit()),
    );
    this.#transport = new TransportView(session);
    this.#replay = button("Replay", { title: "Step through the run from its first event" }, () => {
      session.seek({ position: Number.MAX_SAFE_INTEGER });
    });
    const tabs = h("div.rlm-tablist", { role: "tablist" }, ...this.#tabs);
    const bar = h("div.rlm-tabs", {}, tabs, this.#zoom, this.#replay);
    this.#tree.element.setAttribute("role", "tabpanel");
    this.#main = h("div.rlm-main", {}, this.#tree.element, this.#panel.element);
    this.element = h("div.rlm", {}, this.#head.element, this.#transport.element, bar, this.#main, this.#live);
    this.#transport.listen(this.element);
  }

  /** Shows itself in a host element; returns how to end it. */
  mount(host: HTMLElement): () => void {
    host.append(this.element);
    const timer = setInterval(() => this.session.tick(), 1000);
    this.#ends.push(
      () => clearInterval(timer),
      this.session.watch(() => this.#schedule()),
    );
    if (typeof ResizeObserver !== "undefined") {
      const observer = new ResizeObserver(() => {
        this.#width = this.element.clientWidth;
        this.#tree.resize();
        this.#schedule();
      });
      observer.observe(this.element);
      observer.observe(this.#tree.element);
      // The axis has a size only while the timeline is shown.
      observer.observe(this.#tree.axis.element);
      this.#ends.push(() => observer.disconnect());
    }
    this.#draw();
    return () => this.#unmount();
  }

  #unmount(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#transport.pause();
    cancelAnimationFrame(this.#frame);
    this.#hideStatic.remove();
    this.element.remove();
  }

  #schedule(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw(): void {
    const { session } = this;
    this.#openRoot();
    this.#hideStaticTree();
    // Where no kernel ever answers (a notebook converted to HTML) the static tree says all there is.
    show(this.element, session.store.seq >= 0 || !this.#hasStaticTree());
    const { selected, tab } = session.choices;
    const { saved, status } = session.store.run;
    attribute(this.element, "data-state", status);
    attribute(this.element, "data-saved", saved);
    attribute(this.element, "data-still", session.readonly);
    attribute(this.#main, "data-page", selected !== null && session.store.agents.has(selected));
    for (const element of this.#tabs) {
      const chosen = element.dataset.tab === tab;
      attribute(element, "aria-selected", String(chosen));
      attribute(element, "tabindex", chosen ? 0 : -1);
      if (chosen) attribute(this.#tree.element, "aria-label", element.textContent);
    }
    show(this.#zoom, tab === "timeline");
    this.#head.update();
    this.#transport.update();
    show(this.#replay, !session.readonly && session.store.seq >= 0 && session.store.run.clicks);
    this.#tree.update();
    this.#panel.update();
    if (session.readonly) for (const limit of this.#limits()) limit.disabled = true;
    put(this.#live, session.announcement);
  }

  /** The buttons that raise a limit. */
  #limits(): Iterable<HTMLButtonElement> {
    return this.#head.element.querySelectorAll<HTMLButtonElement>(".rlm-limit");
  }

  /** Where there is room, the root's page is open from the start, so that nothing moves later. */
  #openRoot(): void {
    const { choices, store } = this.session;
    const root = store.children(null)[0];
    if (choices.chosen || choices.selected !== null || root === undefined) return;
    if (this.#width >= WIDE) this.session.select(root, false);
  }

  /** The static tree that stays in a saved notebook is not shown beside the live one. */
  #hideStaticTree(): void {
    const { id, saved } = this.session.store.run;
    // A saved page has no other tree, and its policy allows no style sheet that is made later.
    if (id === "" || saved !== null || this.#hideStatic.dataset.run === id) return;
    this.#hideStatic.dataset.run = id;
    if (!this.#hideStatic.isConnected) document.head.append(this.#hideStatic);
    this.#hideStatic.textContent = `.rlm-static[data-run="${CSS.escape(id)}"]{display:none}`;
  }

  #hasStaticTree(): boolean {
    return this.element.closest(".jp-OutputArea")?.querySelector(".rlm-static") != null;
  }

  #leave(): void {
    const { selected } = this.session.choices;
    this.session.select(null);
    if (selected !== null) this.#tree.focus(selected);
    // At once, not with the next frame: a key pressed meanwhile would go to the notebook.
    this.#draw();
  }

  #tab(name: "tree" | "timeline"): HTMLButtonElement {
    const title = name === "tree" ? "Tree" : "Timeline";
    const element = button(title, { class: "rlm-tab", role: "tab", "data-tab": name }, () =>
      this.#choose(name),
    );
    on(element, "keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      take(event);
      const other = this.#tabs.find((each) => each !== element);
      this.#choose(name === "tree" ? "timeline" : "tree");
      other?.focus();
    });
    return element;
  }

  #choose(name: "tree" | "timeline"): void {
    this.session.choices.tab = name;
    this.session.changed();
  }
}

function legend(): HTMLElement[] {
  const items: [string, string][] = [
    ["model", "model"],
    ["code", "code"],
    ["wait", "waiting"],
    ["path", "critical path"],
  ];
  return items.map(([kind, word]) => h("span", {}, h("i", { class: `rlm-bar rlm-bar-${kind}` }), word));
}
