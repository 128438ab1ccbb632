// @vitest-environment happy-dom

import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";

// Whatever the model says stays text: no way to make markup or code from it exists, in the sources or in the bundle.
const FORBIDDEN =
  /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\bFunction\(|DOMParser|createContextualFragment|setHTML|srcdoc|https?:\/\/(?!www\.w3\.org\/2000\/svg)/;

const bundle = resolve("../rlm_jupyter/views/static");
const files = [
  ...readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(ts|css)$/.test(name))
    .map((name) => `src/${name}`),
  ...["widget.js", "widget.css", "saved_page.js"].map((name) => `${bundle}/${name}`),
];

it.each(files)("%s makes no markup from text and loads nothing", (file) => {
  expect(readFileSync(file, "utf8").match(FORBIDDEN)?.[0]).toBeUndefined();
});

it("anywidget is known to one file", () => {
  const others = files.filter((file) => file.endsWith(".ts") && !file.endsWith("index.ts"));
  expect(others.filter((file) => readFileSync(file, "utf8").includes("@anywidget"))).toEqual([]);
});

describe("the bundle", () => {
  const read = (name: string) => readFileSync(`${bundle}/${name}`);

  it("styles the classes that its script sets, by the same names", () => {
    const names = (name: string) =>
      new Set(
        read(name)
          .toString()
          .match(/(?<!-)\brlm-[a-z-]+/g),
      );
    const [script, style] = [names("widget.js"), names("widget.css")];
    expect(style.size).toBeGreaterThan(30);
    // Names that the script puts together from parts, and those of the saved tree, which Python writes.
    const built = /^rlm-(?:bar|c|guide|icon|s|t|static)-|^rlm-static$/;
    expect([...style].filter((name) => !built.test(name) && !script.has(name))).toEqual([]);
  });

  it("and its style sheet stay under 140 kB, 42 kB compressed", () => {
    const whole = ["widget.js", "widget.css"].map(read);
    const bytes = whole.reduce((sum, file) => sum + file.length, 0);
    const compressed = whole.reduce((sum, file) => sum + gzipSync(file).length, 0);
    expect(bytes).toBeLessThan(140_000);
    expect(compressed).toBeLessThan(42_000);
    expect(bytes).toBeGreaterThan(10_000);
  });
});
