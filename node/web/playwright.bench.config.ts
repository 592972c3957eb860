import tests from "./playwright.config";

/** Measures instead of testing: `make bench-web`. */
export default { ...tests, testDir: "tests/bench" };
