/** A value on a card: text, a large number, a table, rows of keys and values, a list, a chart; each in its own form. */

import { h } from "../dom/dom";
import { line, plain } from "../dom/format";
import { scrollable } from "../page/value_view";
import type { CardPart, CardPassage, CardPicture, TextBlock } from "../state/protocol";

const DEEPEST = 8;
const TEXT = 20_000;

/** Makes what leads to the code of a part of the answer, from its label and the words that are shown. */
export type PartLink = (label: string, words: string) => HTMLElement;

/** Draws a part; the whole value is drawn large, and the labels of its parts lead to their code. */
export function drawPart(part: CardPart, large = false, depth = 0, link?: PartLink): HTMLElement {
  if (depth > DEEPEST) return h("span", {}, "…");
  switch (part.kind) {
    case "text":
      return text(part);
    case "number":
      return number(part, large);
    case "table":
      return table(part, link);
    case "record":
      return record(part, depth, link);
    case "list":
      return list(part, depth, link);
    case "picture":
      return picture(part);
    default:
      return h(large ? "div.rlm-plain" : "span.rlm-plain", {}, plain(part.text ?? "", TEXT));
  }
}

function number(part: CardPart, large: boolean): HTMLElement {
  const unit = part.unit ? h("span.rlm-unit", {}, ` ${line(part.unit, 40)}`) : null;
  return h(large ? "div.rlm-big" : "span.rlm-digits", {}, plain(part.text ?? "", 400), unit);
}

function more(part: CardPart): HTMLElement | null {
  return part.more ? h("div.rlm-more", {}, `… ${part.more}`) : null;
}

// ---- texts

/** A passage of the data: what opens it where it stands. */
function passageNode(passage: CardPassage): HTMLElement {
  const words = h("span.rlm-passage-quote", {}, `“${line(passage.quote, 160)}”`);
  const place = h("span.rlm-passage-place", {}, line(passage.place, 200));
  const quote = h("mark", {}, plain(passage.quote, TEXT));
  const around = [plain(passage.before, TEXT), quote, plain(passage.after, TEXT)];
  return h(
    "details.rlm-passage",
    {},
    h("summary", {}, words, " ", place),
    scrollable(
      h("pre.rlm-text-code", {}, ...around),
      `${line(passage.place, 200)}: ${line(passage.quote, 60)}`,
    ),
  );
}

function text(part: CardPart): HTMLElement {
  if (part.passage) return passageNode(part.passage);
  const body = h("div.rlm-text", {}, ...textNodes(part.blocks ?? []), more(part));
  const long = (part.blocks ?? []).length > 12 || body.textContent.length > 1200;
  return long ? scrollable(body, "Text of the answer") : body;
}

/** Lists are put together of the items that stand below each other. */
function textNodes(blocks: readonly TextBlock[]): HTMLElement[] {
  const made: HTMLElement[] = [];
  let open: HTMLElement | null = null;
  for (const block of blocks) {
    if (block.kind !== "item") {
      open = null;
      made.push(textNode(block));
      continue;
    }
    const kind = block.number === null ? "ul" : "ol";
    if (open === null || open.localName !== kind) {
      open = kind === "ul" ? h("ul") : h("ol", { start: block.number });
      made.push(open);
    }
    const item = h("li", block.number === null ? {} : { value: block.number }, ...stretches(block));
    item.style.marginLeft = `${Math.min(block.level, 6) * 22}px`;
    open.append(item);
  }
  return made;
}

function textNode(block: TextBlock): HTMLElement {
  switch (block.kind) {
    case "heading":
      return h("p.rlm-heading", { "data-level": Math.min(block.level, 4) }, ...stretches(block));
    case "code":
      return scrollable(h("pre.rlm-text-code", {}, ...stretches(block)), "Code in the answer");
    case "quote":
      return h("blockquote.rlm-quote", {}, ...stretches(block));
    default:
      return h("p", {}, ...stretches(block));
  }
}

function stretches(block: TextBlock): (HTMLElement | string)[] {
  return block.text.map(([style, words]) => {
    switch (style) {
      case "strong":
        return h("strong", {}, words);
      case "emphasis":
        return h("em", {}, words);
      case "code":
        return h("code", {}, words);
      default:
        return words;
    }
  });
}

// ---- tables

function table(part: CardPart, link?: PartLink): HTMLElement {
  const columns = part.columns ?? [];
  // Of a list of records each row is an item; the rows of a frame come from one statement.
  const leads = link && (part.type === "list" || part.type === "tuple") ? link : undefined;
  const heads = columns.map((column) =>
    h("th", { scope: "col", class: column.number ? "rlm-number" : null }, line(column.name, 80)),
  );
  const rows = (part.rows ?? []).map((row, place) =>
    h(
      "tr",
      {},
      ...columns.map((column, at) => {
        const text = line(row[at] ?? "", 200);
        const words = leads && at === 0 ? leads(String(place), text) : text;
        if (column.index) return h("th", { scope: "row", class: column.number ? "rlm-number" : null }, words);
        return h("td", column.number ? { class: "rlm-number" } : {}, words);
      }),
    ),
  );
  const drawn = h("table.rlm-table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
  const frame = scrollable(h("div.rlm-frame", {}, drawn), `Table: ${part.shape ?? ""}`);
  const shape = [part.shape ?? "", part.more ? `${part.more} not shown` : ""].filter((each) => each !== "");
  return h("div.rlm-card-table", {}, frame, h("div.rlm-more", {}, shape.join(" · ")));
}

// ---- containers

const STACKED = new Set(["table", "picture"]);

function stands(part: CardPart): boolean {
  return STACKED.has(part.kind) || (part.kind === "text" && (part.blocks ?? []).length > 1) || nested(part);
}

function nested(part: CardPart): boolean {
  const filled = (part.kind === "record" || part.kind === "list") && (part.parts ?? []).length > 0;
  return filled && !inline(part);
}

/** Short values stand on one line. */
function inline(part: CardPart): boolean {
  const parts = part.parts ?? [];
  const short = parts.every((each) => each.kind === "number" || each.kind === "plain");
  return part.kind === "list" && short && parts.reduce((sum, each) => sum + lengthOf(each) + 2, 0) <= 72;
}

function lengthOf(part: CardPart): number {
  return (part.text ?? "").length + (part.unit ?? "").length;
}

function record(part: CardPart, depth: number, link?: PartLink): HTMLElement {
  const parts = part.parts ?? [];
  if (parts.length === 0) return h("span.rlm-plain", {}, part.more ? `… ${part.more}` : "{} (empty)");
  const rows = parts.map((each) =>
    h(
      "div.rlm-pair",
      { "data-stacked": stands(each) },
      h("dt", {}, link ? link(each.label ?? "", line(each.label ?? "", 120)) : line(each.label ?? "", 120)),
      h("dd", {}, drawPart(each, false, depth + 1)),
    ),
  );
  return h("div.rlm-record", {}, h("dl", {}, ...rows), more(part));
}

function list(part: CardPart, depth: number, link?: PartLink): HTMLElement {
  const parts = part.parts ?? [];
  if (parts.length === 0) return h("span.rlm-plain", {}, part.more ? `… ${part.more}` : "[] (empty)");
  if (inline(part)) {
    const drawn = parts.flatMap((each, at) => {
      const words = plain(each.text ?? "", TEXT) + (each.unit ? ` ${line(each.unit, 40)}` : "");
      return [at > 0 ? ", " : "", link ? link(String(at), words) : drawPart(each, false, depth + 1)];
    });
    return h("span.rlm-inline", {}, ...drawn, part.more ? ` … ${part.more}` : null);
  }
  const items = parts.map((each, at) =>
    h("li", {}, link ? link(String(at), `${at + 1}`) : null, drawPart(each, false, depth + 1)),
  );
  return h("div.rlm-list", {}, h("ul", {}, ...items), more(part));
}

// ---- charts

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

function picture(part: CardPart): HTMLElement {
  const words = line(part.text ?? "a chart", 240);
  const shown = part.picture;
  if (!shown || !BASE64.test(shown.png)) return h("span.rlm-plain", {}, words);
  return h("div.rlm-pictures", {}, image(shown, words));
}

/** A PNG file that the notebook's process wrote, as data. */
export function image(shown: CardPicture, words: string): HTMLImageElement {
  return h("img", {
    alt: line(words, 240),
    width: shown.width,
    height: shown.height,
    src: pictureAddress(shown),
  });
}

/** The picture itself as an address; empty for what is no base64. */
export function pictureAddress(shown: CardPicture): string {
  return BASE64.test(shown.png) ? `data:image/png;base64,${shown.png}` : "";
}
