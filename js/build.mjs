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

/** `--rlm-muted` → `--r3`, the most frequent first: nobody outside of the style sheet knows these names. */
function shortVariables(css) {
  const counts = new Map();
  for (const [name] of css.matchAll(/--rlm-\w+/g)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([name]) => name);
  return css.replace(/--rlm-\w+/g, (name) => `--r${names.indexOf(name).toString(36)}`);
}

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
writeFileSync(script.path, script.contents);
writeFileSync(style.path, shortVariables(style.text));
