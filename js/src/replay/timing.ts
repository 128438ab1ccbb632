/** Which moment of a run it is at which time of its replay. Pure. */

import type { Point } from "../state/protocol";

/** The seconds of the replay at a moment. */
export function timeAt(points: readonly Point[], position: number): number {
  return between(points, position, 0, 1);
}

/** The seconds of the run at a moment. */
export function secondsAt(points: readonly Point[], position: number): number {
  return between(points, position, 0, 2);
}

/** The last moment that has come at a time of the replay. */
export function positionAt(points: readonly Point[], seconds: number): number {
  // Of events at the same time the last: all of them have happened.
  return Math.floor(between(points, seconds, 1, 0) + 1e-9);
}

function between(points: readonly Point[], at: number, from: 0 | 1, to: 0 | 1 | 2): number {
  let low = 0;
  let high = points.length - 1;
  if (high < 0) return 0;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((points[middle] as Point)[from] <= at) low = middle;
    else high = middle - 1;
  }
  const before = points[low] as Point;
  const after = points[low + 1];
  if (after === undefined || at <= before[from]) return before[to];
  const share = (at - before[from]) / (after[from] - before[from]);
  return before[to] + share * (after[to] - before[to]);
}
