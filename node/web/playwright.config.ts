import { defineConfig } from "@playwright/test";

/** Debian's browser: no browser is downloaded. */
const chromium = process.env.NEXUS_CHROMIUM ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "tests/browser",
  outputDir: "../../build/page-tests",
  // All tests share one network and one chain, and the machine may have two cores.
  workers: 1,
  fullyParallel: false,
  // A bound for what hangs, and none for slow machines.
  timeout: 400_000,
  expect: { timeout: 120_000 },
  // A second try tells a fault of the page from one of a busy machine; such a test is listed as flaky.
  retries: 1,
  reporter: [["list"]],
  globalSetup: "./tests/browser/network_setup.ts",
  use: {
    browserName: "chromium",
    launchOptions: { executablePath: chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] },
    locale: "en-US",
    trace: "retain-on-failure",
  },
});
