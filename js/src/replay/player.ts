/** Plays a run: which moment is due at which time, and when the kernel is asked for it. No DOM. */

import type { Session } from "../state/session";
import { positionAt, timeAt } from "./timing";

export const SPEEDS = [0.5, 1, 2, 5, 10, 20] as const;

/** A kernel is asked for moments no more often than this (milliseconds); a saved page for each frame. */
const PACE_MS = 60;

export class Player {
  playing = false;
  speed = 1;
  /** Seconds of the replay. */
  #time = 0;
  #last = 0;
  #asked = Number.NEGATIVE_INFINITY;

  constructor(private readonly session: Session) {}

  /** Starts, from the beginning if the run is at its end. */
  play(now: number): void {
    const { replay } = this.session.store.run;
    if (replay === null || this.session.outline === null) return;
    const atEnd = replay.position >= replay.events;
    this.#time = atEnd ? 0 : timeAt(this.session.outline.points, replay.position);
    this.#last = now;
    this.playing = true;
    if (atEnd) this.session.seek({ position: positionAt(this.session.outline.points, 0) });
    this.session.changed();
  }

  pause(): void {
    if (!this.playing) return;
    this.playing = false;
    this.session.changed();
  }

  /** Once a frame while it plays: goes on to the moment that is due; `now` is in milliseconds. */
  frame(now: number): void {
    const { session } = this;
    const { outline } = session;
    const { replay, saved } = session.store.run;
    if (replay === null || outline === null) {
      this.pause();
      return;
    }
    // A page in the background gets no frames: time stands still there.
    this.#time += (Math.min(now - this.#last, 250) / 1000) * this.speed;
    this.#last = now;
    const due = positionAt(outline.points, this.#time);
    if (session.requests.isPending("seek")) return;
    if (replay.position >= outline.events && due >= outline.events) {
      this.pause();
      return;
    }
    if (due <= replay.position || (saved === null && now - this.#asked < PACE_MS)) return;
    this.#asked = now;
    session.seek({ position: due });
  }
}
