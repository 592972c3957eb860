import tests from "./playwright.config";

/** Measures instead of testing: `make bench-web`. Tracing would be work of its own in the page. */
export default { ...tests, testDir: "tests/bench", use: { ...tests.use, trace: "off" as const } };
