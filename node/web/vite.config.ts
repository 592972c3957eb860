import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds a gateway: `nexus up` prints its address. */
const gateway = process.env.NEXUS_GATEWAY ?? "http://127.0.0.1:11434";

export default defineConfig({
  base: "/app/",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2022",
    // Every file is fetched from the gateway, so that the policy of the page allows no `data:` scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // The licences of what is bundled.
    license: { fileName: "licenses.md" },
  } as object,
  // Workers load parts of themselves when they need them.
  worker: { format: "es" },
  server: { proxy: { "/v1": gateway, "/api": gateway, "/page": gateway, "/explorer": gateway } },
  test: { include: ["tests/unit/**/*.test.{ts,tsx}"], environment: "happy-dom" },
});
