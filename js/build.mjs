// Builds the committed bundle: one ES module and one style sheet, byte for byte the same on every machine.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  absWorkingDir: here("."),
  entryPoints: { widget: "src/index.ts" },
  outdir: here("../rlm_jupyter/views/static"),
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
await build({
  absWorkingDir: here("."),
  entryPoints: { widget: "src/styles.css" },
  outdir: here("../rlm_jupyter/views/static"),
  minify: true,
  charset: "utf8",
  logLevel: "warning",
});
