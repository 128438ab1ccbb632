/** Signs for states: each has its own shape, so that colour only helps. */

import type { State } from "../state/visible_rows";

const SVG = "http://www.w3.org/2000/svg";

/** Paths in a box of 16 x 16, drawn as strokes. */
const PATHS: { readonly [name in State | "group" | "open" | "close"]?: string } = {
  done: "M3.5 8.5l3 3 6-7",
  failed: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  stopped: "M4.5 4.5h7v7h-7z",
  limit: "M3 12a5.5 5.5 0 1 1 10 0M8 10.5l3-4.5",
  running: "M8 2.5a5.5 5.5 0 1 1-5.5 5.5",
  model: "M8 2.5a5.5 5.5 0 1 1-5.5 5.5",
  code: "M3.5 4.5l4 3.5-4 3.5M9 12h4",
  children: "M4.5 2.5v7.5a2 2 0 0 0 2 2h5M4.5 6.5h7",
  kernel:
    "M8 2.5v2M8 11.5v2M2.5 8h2M11.5 8h2M4.1 4.1l1.4 1.4M10.5 10.5l1.4 1.4M4.1 11.9l1.4-1.4M10.5 5.5l1.4-1.4",
  step: "M6 4v8M10 4v8",
  reply: "M2.5 3.5h11v7h-6l-3 2.5v-2.5h-2z",
  question: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.8-1.1 1.8M8 12.6v.4",
  group: "M3 4.5h10M3 8h10M3 11.5h10",
  open: "M6 4l4 4-4 4",
  close: "M4.5 4.5l7 7M11.5 4.5l-7 7",
};

/** A clock, for all else: something is waited for. */
const WAITS = "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 5v3.3l2.2 1.4";

export function icon(name: keyof typeof PATHS): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `rlm-icon rlm-icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  setIcon(svg, name, path);
  svg.append(path);
  return svg;
}

/** Changes a sign in place. */
export function setIcon(svg: SVGSVGElement, name: keyof typeof PATHS, path = svg.firstElementChild): void {
  if (svg.dataset.icon === name || !path) return;
  svg.dataset.icon = name;
  svg.setAttribute("class", `rlm-icon rlm-icon-${name}`);
  path.setAttribute("d", PATHS[name] ?? WAITS);
}
