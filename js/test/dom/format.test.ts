import { describe, expect, it } from "vitest";
import {
  bytes,
  duration,
  isName,
  line,
  money,
  moneyLimit,
  percent,
  plain,
  plural,
  pullName,
  TEXT_LIMIT,
  tokens,
} from "../../src/dom/format";

it.each([
  [null, "unknown"],
  [Number.NaN, "unknown"],
  [0, "$0"],
  [0.00001, "<$0.0001"],
  [0.0421, "$0.0421"],
  [9.99994, "$9.9999"],
  [9.99996, "$10.00"],
  [1234.5, "$1234.50"],
])("money %s is %s", (value, text) => expect(money(value)).toBe(text));

it.each([
  [1, "$1.00"],
  [0.05, "$0.05"],
  [12.5, "$12.50"],
  [0, "$0.00"],
])("a limit of %s is %s", (value, text) => expect(moneyLimit(value)).toBe(text));

it.each([
  [0, "0"],
  [3412, "3,412"],
  [41_234, "41.2k"],
  [99_960, "100k"],
  [999_600, "1.00M"],
])("%s tokens are %s", (value, text) => expect(tokens(value)).toBe(text));

it.each([
  [null, false, ""],
  [-1, false, "0.00 s"],
  [0.417, false, "0.42 s"],
  [12.34, false, "12.3 s"],
  [12.94, true, "12 s"],
  [59.96, false, "1:00"],
  [125, false, "2:05"],
  [3725, true, "1:02:05"],
])("%s seconds (running: %s) are %s", (value, running, text) => expect(duration(value, running)).toBe(text));

it.each([
  [null, ""],
  [812, "812 B"],
  [48_000_128, "48.0 MB"],
  [999_960, "1.0 MB"],
  [1.2e9, "1.2 GB"],
])("%s bytes are %s", (value, text) => expect(bytes(value)).toBe(text));

it.each([
  [0, "0 %"],
  [0.000001, "under 0.001 %"],
  [0.000284, "0.028 %"],
  [0.1234, "12 %"],
])("the share %s is %s", (value, text) => expect(percent(value)).toBe(text));

it("counts things", () => {
  expect([plural(1, "turn"), plural(2, "turn"), plural(1200, "agent")]).toEqual([
    "1 turn",
    "2 turns",
    "1,200 agents",
  ]);
});

describe("text from a model", () => {
  it.each([
    ["<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"],
    ["a\u0000b", "a\u2400b"],
    ["\u001b[31mred\u001b[0m", "red"],
    ["\u001b]0;title\u0007", "\u241b]0;title\u2407"],
    ["\u202egnp.exe", "\u27e8U+202E\u27e9gnp.exe"],
    ["zero\u200bwidth", "zero\u27e8U+200B\u27e9width"],
    ["a\r\nb\tc\n", "a\nb\tc\n"],
    ["\u0085next\rlast", "\nnext\nlast"],
    ["\u0086", "\u27e8U+0086\u27e9"],
    ["\u{e0041}", "\u27e8U+E0041\u27e9"],
    ["half \ud83d", "half \ufffd"],
    ["naïve 日本語 👩‍💻", "naïve 日本語 👩‍💻"],
  ])("%j is shown as %j", (given, shown) => expect(plain(given)).toBe(shown));

  it("of any type becomes text", () => {
    expect([plain(undefined), plain(null), plain(3), plain({})]).toEqual(["", "", "3", "[object Object]"]);
  });

  it("that is too long is cut, and says so", () => {
    const shown = plain("x".repeat(TEXT_LIMIT + 1234));
    expect(shown.length).toBeLessThan(TEXT_LIMIT + 50);
    expect(shown.endsWith("… 1,234 more characters")).toBe(true);
  });

  it("fits on one line where it must", () => {
    expect(line("  a\n\n b\tc ")).toBe("a b c");
    expect(line("x".repeat(5000), 10)).toBe(`${"x".repeat(10)}…`);
    expect(line("\u202e".repeat(2))).toBe("\u27e8U+202E\u27e9\u27e8U+202E\u27e9");
  });
});

describe("names", () => {
  it.each([
    ["counts", true],
    ["_x1", true],
    ["größe", true],
    ["class", false],
    ["1a", false],
    ["a b", false],
    ["", false],
    ["__import__('os')", false],
  ])("%j is a name: %s", (name, yes) => expect(isName(name)).toBe(yes));

  it.each([
    ["counts", "0.2", [], "counts"],
    ["context", "0.2", [], "context_0_2"],
    ["df", "0", [], "df_0"],
    ["counts", "0.2", ["counts"], "counts_0_2"],
    ["counts", "0.2", ["counts", "counts_0_2"], "counts_0_2_2"],
    ["a b", "0", [], "a_b"],
    ["1st", "0", [], "v_1st"],
    ["", "0", [], "v_"],
    ["class", "0.1", [], "class_0_1"],
  ] as const)("%j of %s, with %j taken, is pulled as %s", (name, id, taken, as) => {
    expect(pullName(name, id, new Set(taken))).toBe(as);
    expect(isName(as)).toBe(true);
  });
});
