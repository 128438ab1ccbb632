// Builds the committed bundle: an ES module, a style sheet, and the script of saved pages, byte for byte the same on every machine.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const common = {
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  outdir: "../rlm_jupyter/views/static",
  bundle: true,
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

await build({
  ...common,
  entryPoints: [
    { in: "src/index.ts", out: "widget" },
    { in: "src/styles.css", out: "widget" },
  ],
  format: "esm",
});

// A saved page holds its script in itself, and so no module that is imported.
await build({
  ...common,
  entryPoints: [{ in: "src/saved_page_entry.ts", out: "saved_page" }],
  format: "iife",
});
