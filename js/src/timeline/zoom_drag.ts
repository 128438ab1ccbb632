/** Dragging over the timeline: a band follows the pointer, and where it is let go is zoomed to. */

import { h, on, put, show } from "../dom/dom";

/** Pixels; less is a click with an unsteady hand. */
const STEADY = 4;

export interface Dragged {
  /** The element whose width is the time shown. */
  axis: HTMLElement;
  /** Whether there is a time to drag over just now. */
  active(): boolean;
  /** What to write on the band between two shares of the width. */
  words(from: number, to: number): string;
  zoom(from: number, to: number): void;
  /** A double click. */
  reset(): void;
}

export class Drag {
  /** Stands over the rows of `host`, which must be the band's positioned parent. */
  readonly band = h("div.rlm-band", { "aria-hidden": "true", hidden: true }, h("b"));
  #from: number | null = null;
  #moved = false;

  constructor(
    private readonly host: HTMLElement,
    private readonly time: Dragged,
  ) {
    host.append(this.band);
    on(host, "pointerdown", (event) => this.#begin(event));
    on(host, "pointermove", (event) => this.#move(event));
    on(host, "pointerup", (event) => this.#end(event));
    on(host, "pointercancel", () => this.cancel());
    // The click that ends a drag chooses no row.
    on(
      host,
      "click",
      (event) => {
        if (this.#moved) event.stopPropagation();
        this.#moved = false;
      },
      { capture: true },
    );
    on(host, "dblclick", (event) => {
      if (time.active() && isTime(event.target)) time.reset();
    });
  }

  /** Ends a drag without a zoom; true when there was one. */
  cancel(): boolean {
    const was = this.#from !== null && this.#moved;
    this.#from = null;
    show(this.band, false);
    return was;
  }

  #begin(event: PointerEvent): void {
    this.#moved = false;
    if (event.button !== 0 || event.pointerType === "touch" || !this.time.active() || !isTime(event.target))
      return;
    this.#from = event.clientX;
    // No text is selected meanwhile; the row takes the keyboard with the click.
    event.preventDefault();
  }

  #move(event: PointerEvent): void {
    if (this.#from === null) return;
    if (!this.#moved) {
      if (Math.abs(event.clientX - this.#from) < STEADY) return;
      this.#moved = true;
      this.host.setPointerCapture?.(event.pointerId);
    }
    const { left, width, from, to } = this.#span(event.clientX);
    show(this.band, true);
    this.band.style.left = `${left - this.host.getBoundingClientRect().left + from * width}px`;
    this.band.style.width = `${(to - from) * width}px`;
    put(this.band.firstElementChild as Element, this.time.words(from, to));
  }

  #end(event: PointerEvent): void {
    const { from, to } = this.#span(event.clientX);
    if (this.cancel() && to > from) this.time.zoom(from, to);
  }

  /** Where the time is on the page, and which shares of it the pointer went over. */
  #span(x: number): { left: number; width: number; from: number; to: number } {
    const { left, width } = this.time.axis.getBoundingClientRect();
    const share = (at: number) => (width === 0 ? 0 : Math.min(Math.max((at - left) / width, 0), 1));
    const [begun, now] = [share(this.#from ?? x), share(x)];
    return { left, width, from: Math.min(begun, now), to: Math.max(begun, now) };
  }
}

function isTime(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(".rlm-track,.rlm-axis") !== null;
}
