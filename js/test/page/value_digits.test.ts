// @vitest-environment happy-dom

import { expect, it } from "vitest";
import { describe, gist, summaryOf } from "../../src/page/value_view";
import type { Description } from "../../src/state/protocol";

const ID = "9007199254740993";
const LARGE = "18446744073709551615";

/** A description as it comes over the wire. */
function sent(description: Description): Description {
  return JSON.parse(JSON.stringify(description)) as Description;
}

function shown(description: Description): string[] {
  const body = describe(sent(description), "value") as HTMLElement;
  return [...body.querySelectorAll("td, th[scope=row], pre")].map((each) => each.textContent ?? "");
}

it("shows all digits, NaN and infinity in tables", () => {
  const columns = ["id", "x", "y"].map((name) => ({ name, dtype: "float64" }));
  const rows = [
    [ID, "nan", "-inf"],
    [LARGE, "<NA>", "1e+300"],
  ];
  expect(shown({ columns, rows })).toEqual(rows.flat());
});

it("shows them in the parts of a container, keys included", () => {
  const items = [
    { key: ID, type: "int", bytes: 32, summary: LARGE },
    { key: "rate", type: "float", bytes: 24, summary: "nan" },
  ];
  expect(shown({ items, length: 2 })).toEqual([ID, "int", "32 B", LARGE, "rate", "float", "24 B", "nan"]);
  expect(gist({ items })).toBe(`${ID}: ${LARGE}, rate: nan`);
});

it("shows them in previews and summaries", () => {
  expect(describe(sent({ preview: `[${ID}, inf]` }), "value")?.textContent).toBe(`[${ID}, inf]`);
  expect(summaryOf({ summary: `int ${ID}` })).toBe(`int ${ID}`);
});
