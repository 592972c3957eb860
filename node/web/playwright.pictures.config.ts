import tests from "./playwright.config";

/** Takes pictures instead of testing: `make web-pictures`. */
export default { ...tests, testDir: "tests/pictures" };
