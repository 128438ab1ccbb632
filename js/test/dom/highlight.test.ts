import { describe, expect, it } from "vitest";
import { segments, tokenize } from "../../src/dom/highlight";

const kinds = (code: string) =>
  tokenize(code)
    .filter(([kind]) => kind !== "")
    .map(([kind, text]) => `${kind}:${text}`);

describe("the tokenizer", () => {
  it.each([
    ["def f(x): return x", ["k:def", "f:f", "k:return"]],
    ["class A: pass", ["k:class", "f:A", "k:pass"]],
    ["x = 'it''s' # no 'string'", ["s:'it''s'", "c:# no 'string'"]],
    ["f\"{a!r}\" + rb'\\'' ", ['s:f"{a!r}"', "s:rb'\\''"]],
    ['"""a\n# b\n"""', ['s:"""a\n# b\n"""']],
    ['"""open\nto the end', ['s:"""open\nto the end']],
    ["'open\nx", ["s:'open"]],
    ["0x1F + 1_000.5e-3j", ["n:0x1F", "n:1_000.5e-3j"]],
    ["print(len(context))", ["b:print", "b:len", "b:context"]],
    ["@cache\ndef f(): ...", ["d:@cache", "k:def", "f:f"]],
    ["a @b", []],
    ["await rlm_query('q')", ["k:await", "b:rlm_query", "s:'q'"]],
    ["größe = 1", ["n:1"]],
    ["printer", []],
  ])("cuts %j", (code, found) => expect(kinds(code)).toEqual(found));

  it.each(["", "x\n\ty", "\u0000 \\ ` 🙂 '", "'''", '"\\', "@", "0x", "…", "a".repeat(50_000)])(
    "loses nothing of %#",
    (code) =>
      expect(
        tokenize(code)
          .map(([, text]) => text)
          .join(""),
      ).toBe(code),
  );
});

describe("a reply", () => {
  it("is cut into prose and code", () => {
    expect(segments("First.\n\n```repl\nx = 1\n```\nThen.\n```python\ny\n```")).toEqual([
      { kind: "text", text: "First." },
      { kind: "code", text: "x = 1" },
      { kind: "text", text: "Then." },
      { kind: "code", text: "y" },
    ]);
  });

  it("that streams shows its open fence as code", () => {
    expect(segments("Look:\n```repl\nx = ")).toEqual([
      { kind: "text", text: "Look:" },
      { kind: "code", text: "x =" },
    ]);
  });

  it("keeps backticks inside a line", () => {
    expect(segments("use `x` and ``` here")).toEqual([{ kind: "text", text: "use `x` and ``` here" }]);
    expect(segments("  \n")).toEqual([]);
  });
});
