import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** What the package serves; a test builds the page elsewhere and compares. */
const outDir = process.env["OUT_DIR"] ?? fileURLToPath(new URL("../../src/exomni/serve/web", import.meta.url));
const installed = (path: string) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));
const SERVER = "http://127.0.0.1:8400";

export default defineConfig({
  base: "./",
  resolve: {
    conditions: ["source", "module", "browser"],
    alias: { "meshopt-reference": installed("meshoptimizer/meshopt_decoder_reference.js") },
  },
  plugins: [
    {
      name: "keep-heads",
      apply: "build",
      // The heads lie in the same folder, so only what was built before goes.
      buildStart: () => rmSync(`${outDir}/assets`, { recursive: true, force: true }),
      generateBundle() {
        const licences = [["three", "LICENSE"], ["meshoptimizer", "LICENSE.md"]].map(
          ([name, file]) => `${name}\n\n${readFileSync(installed(`${name}/${file}`), "utf8").trim()}\n`,
        );
        this.emitFile({ type: "asset", fileName: "licences.txt", source: licences.join("\n\n") });
      },
    },
  ],
  build: {
    outDir,
    emptyOutDir: false,
    target: "es2022",
    // Small files as data: URLs would need a laxer content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "three", test: /node_modules/ }] } } },
  },
  server: {
    proxy: {
      "/v1": { target: SERVER, ws: true },
      "/heads": SERVER,
    },
  },
});
