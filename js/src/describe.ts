/** A value as the kernel describes it: one line, a small real table for frames, or a piece of text. */

import { h } from "./dom";
import { bytes, line, plain, whole } from "./format";
import type { Description } from "./types";

const PREVIEW_CHARS = 20_000;

/** `DataFrame 1,000,000 x 6, 48.0 MB` */
export function summaryOf(value: Description): string {
  if (value.summary) return value.summary;
  const shape = value.shape ? value.shape.map(whole).join(" × ") : "";
  return [`${value.type ?? "value"} ${shape}`.trim(), bytes(value.bytes)]
    .filter((part) => part !== "")
    .join(", ");
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

function contents(value: Description, name: string): HTMLElement {
  const rows = (value.items ?? []).map((item, at) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, line(item.key ?? String(at), 80)),
      h("td", {}, line(item.summary ?? item.type ?? "", 200)),
    ),
  );
  const table = h("table.rlm-table", {}, h("tbody", {}, ...rows));
  return scrollable(h("div.rlm-frame", {}, table), `Contents of ${name}`);
}

function numeric(dtype: string | undefined): { class: string } | Record<string, never> {
  return /^(u?int|float|decimal|complex)/i.test(dtype ?? "") ? { class: "rlm-number" } : {};
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "null";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
