// Builds the committed bundle: one ES module and one style sheet, byte for byte the same on every machine.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Members of our own classes that the bundle may call shortly: neither the browser's names nor the wire's
 * (`test/sources.test.ts` compares them with both).
 */
const { ours } = JSON.parse(readFileSync(here("names.json"), "utf8"));

async function bundle(entryPoints, more = {}) {
  const { outputFiles } = await build({
    absWorkingDir: here("."),
    entryPoints,
    outdir: here("../rlm_jupyter/views/static"),
    minify: true,
    charset: "utf8",
    logLevel: "warning",
    write: false,
    ...more,
  });
  return outputFiles[0];
}

/** The names that `pattern` finds in `texts` → short ones, the most frequent shortest. */
function shortNames(pattern, prefix, ...texts) {
  const counts = new Map();
  for (const text of texts)
    for (const [name] of text.matchAll(pattern)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([name]) => name);
  return (text) => text.replace(pattern, (name) => prefix + names.indexOf(name).toString(36));
}

// Nobody outside of the bundle knows these: variables of the style sheet, and long class names that are not put
// together from parts. Tests find a few by their names.
const VARIABLE = /--rlm-\w+/g;
const CLASS =
  /(?<![\w-])rlm-(?!static|scroll|twisty|track|(?:bar|c|guide|icon|t)-)(?:[a-z]{5,}|[a-z]+(?:-[a-z]+)+)(?![\w-])/g;

const script = await bundle(
  { widget: "src/index.ts" },
  {
    bundle: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    mangleProps: new RegExp(`^(${ours.join("|")})$`),
  },
);
const style = await bundle({ widget: "src/styles.css" });
const classes = shortNames(CLASS, "rx", style.text, script.text);
const variables = shortNames(VARIABLE, "--r", style.text);
writeFileSync(script.path, classes(script.text));
writeFileSync(style.path, classes(variables(style.text)));
