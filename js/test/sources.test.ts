// @vitest-environment happy-dom

import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";

// Whatever the model says stays text: no way to make markup or code from it exists, in the sources or in the bundle.
const FORBIDDEN =
  /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\bFunction\(|DOMParser|createContextualFragment|setHTML|srcdoc|https?:\/\/(?!www\.w3\.org\/2000\/svg)/;

const bundle = resolve("../rlm_jupyter/views/static");
const files = [
  ...readdirSync("src").map((name) => `src/${name}`),
  ...["widget.js", "widget.css"].map((name) => `${bundle}/${name}`),
];

it.each(files)("%s makes no markup from text and loads nothing", (file) => {
  expect(readFileSync(file, "utf8").match(FORBIDDEN)?.[0]).toBeUndefined();
});

it("anywidget is known to one file", () => {
  const others = files.filter((file) => file.endsWith(".ts") && !file.endsWith("index.ts"));
  expect(others.filter((file) => readFileSync(file, "utf8").includes("@anywidget"))).toEqual([]);
});

const { ours } = JSON.parse(readFileSync("names.json", "utf8")) as { ours: string[] };

it("what the bundle calls shortly is no name of the wire or of the browser", () => {
  const types = readFileSync("src/types.ts", "utf8");
  expect(ours.filter((name) => new RegExp(`\\b${name}\\??:`).test(types))).toEqual([]);
  const foreign = [
    document,
    document.body.style,
    document.createElement("input"),
    new Date(),
    new Map(),
    [],
    "",
    window,
    new Event("x"),
  ];
  expect(ours.filter((name) => foreign.some((each) => name in Object(each)))).toEqual([]);
});

describe("the bundle", () => {
  it("has short class names that its script and its style sheet agree on", () => {
    const short = (name: string) => new Set(readFileSync(`${bundle}/${name}`, "utf8").match(/\brx\w+/g));
    const [script, style] = [short("widget.js"), short("widget.css")];
    expect(style.size).toBeGreaterThan(30);
    expect([...style].filter((name) => !script.has(name))).toEqual([]);
  });

  it("and its style sheet stay under 80 KB", () => {
    const size = readFileSync(`${bundle}/widget.js`).length + readFileSync(`${bundle}/widget.css`).length;
    expect(size).toBeLessThan(80_000);
    expect(size).toBeGreaterThan(10_000);
  });
});
