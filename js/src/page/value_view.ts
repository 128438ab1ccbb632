/** A value as the kernel describes it: one line, a small real table for frames, or a piece of text. */

import { h } from "../dom/dom";
import { bytes, line, plain, whole } from "../dom/format";
import type { Description } from "../state/protocol";

const PREVIEW_CHARS = 20_000;

/** `DataFrame 1,000,000 x 6, 48.0 MB` */
export function summaryOf(value: Description): string {
  if (value.summary) return value.summary;
  const shape = shapeOf(value);
  return [`${value.type ?? "value"} ${shape}`.trim(), bytes(value.bytes)]
    .filter((part) => part !== "")
    .join(", ");
}

/** `1,000,000 × 6`; empty if the value has no shape. */
export function shapeOf(value: Description): string {
  return (value.shape ?? []).map((length) => (length === null ? "?" : whole(length))).join(" × ");
}

/** The body under the summary; `null` where the summary says it all. */
export function describe(value: Description, name: string): HTMLElement | null {
  if (value.columns && value.columns.length > 0) return frame(value, name);
  if (value.items && value.items.length > 0) return contents(value, name);
  const preview = value.preview ?? "";
  if (preview === "" || preview === value.summary) return null;
  return scrollable(h("pre.rlm-preview", {}, plain(preview, PREVIEW_CHARS)), `Preview of ${name}`);
}

/** A box that scrolls is reached by keyboard and has a name. */
export function scrollable<T extends HTMLElement>(element: T, name: string): T {
  element.tabIndex = 0;
  element.setAttribute("role", "region");
  element.setAttribute("aria-label", line(name, 120));
  return element;
}

function frame(value: Description, name: string): HTMLElement {
  const columns = value.columns ?? [];
  const heads = columns.map((column) =>
    h(
      "th",
      { scope: "col", ...numeric(column.dtype) },
      h("span.rlm-column", {}, line(column.name, 80)),
      h("small", {}, line(column.dtype ?? "", 40)),
      column.nulls ? " " : null,
      column.nulls ? h("small.rlm-nulls", {}, `${whole(column.nulls)} null`) : null,
    ),
  );
  const rows = value.rows ?? [];
  const body = rows.map((row) =>
    h("tr", {}, ...columns.map((column, at) => h("td", numeric(column.dtype), line(cellText(row[at]), 200)))),
  );
  const table = h("table.rlm-table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...body));
  return scrollable(h("div.rlm-frame", {}, table), `First rows of ${name}`);
}

/** The parts of a dict or a list: a line each, and how many more there are. */
function contents(value: Description, name: string): HTMLElement {
  const items = value.items ?? [];
  const keyed = items.some((item) => typeof item.key === "string");
  const heads = [keyed ? "key" : "index", "type", "size", "preview"].map((title, at) =>
    h("th", { scope: "col", ...(at === 2 ? NUMBER : {}) }, h("small", {}, title)),
  );
  const rows = items.map((item, at) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, line(item.key ?? whole(at), 80)),
      h("td", {}, line(item.type ?? "", 40)),
      h("td", NUMBER, bytes(item.bytes)),
      h("td", {}, line(item.summary ?? item.type ?? "", 200)),
    ),
  );
  const table = h("table.rlm-table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
  const more = (value.length ?? 0) - items.length;
  const rest = more > 0 ? h("small.rlm-more", {}, `… ${whole(more)} more`) : null;
  return scrollable(h("div.rlm-frame", {}, table, rest), `Contents of ${name}`);
}

/** What is in a value, on one line: its preview, or the first of its parts; empty where there is neither. */
export function gist(value: Description): string {
  const parts = (value.items ?? []).map((item) => `${item.key ? `${item.key}: ` : ""}${item.summary ?? ""}`);
  return value.preview || parts.join(", ");
}

/** Where a value is held, where that is worth a word. */
export function placeWords(place: string | null | undefined): string {
  return place === "disk" ? "on disk" : place === "shared" ? "shared by all agents" : "";
}

const NUMBER = { class: "rlm-number" };

function numeric(dtype: string | undefined): { class: string } | Record<string, never> {
  return /^(u?int|float|decimal|complex)/i.test(dtype ?? "") ? NUMBER : {};
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "null";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
