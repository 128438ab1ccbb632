/** The few helpers that make elements. All text goes through `plain` into text nodes; nothing here takes markup. */

import { line, plain } from "./format";

export type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined>;
type Tag = keyof HTMLElementTagNameMap;

/** Makes an element from `tag.class.class`, attributes and children. */
export function h<K extends Tag>(
  selector: K | `${K}.${string}`,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = selector.split(".") as [K, ...string[]];
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) attribute(element, name, value);
  append(element, ...children);
  return element;
}

export function append(element: Element, ...children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "string" ? plain(child) : child);
  }
}

/** Sets, or with `null` and `false` removes, an attribute; writes only what changed. */
export function attribute(
  element: Element,
  name: string,
  value: string | number | boolean | null | undefined,
): void {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets a tool tip or a name from text that may be anything; costs nothing when it is the same as before. */
export function tip(element: Element, text: string | null, name = "title"): void {
  const key = `${name} ${text}`;
  if (tips.get(element) === key) return;
  tips.set(element, key);
  attribute(element, name, text === null ? null : line(text, 600));
}

const tips = new WeakMap<Element, string>();

const shown = new WeakMap<Element, string>();

/** Puts text into an element; costs nothing when it is the same as before. */
export function put(element: Element, text: string | null | undefined): void {
  const value = text ?? "";
  if (shown.get(element) === value) return;
  shown.set(element, value);
  element.textContent = plain(value);
}

/** The same on one line. */
export function putLine(element: Element, text: string | null | undefined, limit?: number): void {
  const value = text ?? "";
  if (shown.get(element) === value) return;
  shown.set(element, value);
  element.textContent = line(value, limit);
}

/** A share of 1 as browsers write it back, so that what is the same is seen to be the same. */
export function percents(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`;
}

/** Puts text into a box that scrolls when it is long: then the keyboard must reach the box. */
export function putLong(element: HTMLElement, text: string | null | undefined): void {
  const value = text ?? "";
  const long = value.length > 400 || value.split("\n", 8).length > 7;
  attribute(element, "tabindex", long ? 0 : null);
  put(element, value);
}

export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Listens on an element. */
export function on<K extends keyof HTMLElementEventMap>(
  element: HTMLElement,
  kind: K,
  listener: (event: HTMLElementEventMap[K]) => void,
  options?: AddEventListenerOptions,
): void {
  element.addEventListener(kind, listener, options);
}

/** The event is ours: neither the browser nor JupyterLab must act on it. */
export function take(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

/** A button; its name is its text, or `label` where a sign stands for it. */
export function button(
  text: string,
  attributes: Attributes,
  click: (event: MouseEvent) => void,
): HTMLButtonElement {
  const element = h("button", { type: "button", ...attributes }, text);
  element.classList.add("rlm-button");
  on(element, "click", click);
  return element;
}

/**
 * Makes `parent`'s children those of `items`, in order, keeping the elements of the keys that stay: what the
 * reader selected, scrolled or unfolded in them is left alone.
 */
export function keyed<T>(
  parent: Element,
  items: readonly T[],
  key: (item: T, index: number) => string,
  create: (item: T) => Element,
  update: (element: Element, item: T, index: number) => void,
): void {
  let known = keptBy.get(parent);
  if (!known) {
    known = new Map();
    keptBy.set(parent, known);
  }
  const stays = new Set<string>();
  let at: ChildNode | null = parent.firstChild;
  items.forEach((item, index) => {
    const name = key(item, index);
    stays.add(name);
    let element = known.get(name);
    if (!element) {
      element = create(item);
      known.set(name, element);
    }
    if (element === at) at = at.nextSibling;
    else parent.insertBefore(element, at);
    update(element, item, index);
  });
  for (const [name, element] of known) {
    if (stays.has(name)) continue;
    element.remove();
    known.delete(name);
  }
}

const keptBy = new WeakMap<Element, Map<string, Element>>();

/** Keeps keys that are meant for a field away from JupyterLab's shortcuts; those with Ctrl or Cmd pass. */
export function keepKeys(element: HTMLElement): void {
  on(element, "keydown", (event) => {
    // Escape leads out of the field: it is for what the field stands in.
    if (!event.ctrlKey && !event.metaKey && event.key !== "Escape") event.stopPropagation();
  });
}

/** Copies text; true when it worked. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A notebook over plain http has no clipboard object; the old command still works there.
    const field = h("textarea.rlm-offscreen", { "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
