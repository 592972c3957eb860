import { beforeEach, expect, test } from "vitest";
import { durationOf, shareOf } from "../../../src/chain/clock";
import { chooseLanguage } from "../../../src/words/language";

beforeEach(() => chooseLanguage("en"));

test.each([
  [0, "0 sec"],
  [-5, "0 sec"],
  [9.9, "9 sec"],
  [60, "1 min"],
  [250, "4 min 10 sec"],
  [3 * 3600 + 5 * 60 + 9, "3 hr 5 min"],
  [2 * 86_400, "2 days"],
  [86_400 + 61, "1 day"],
])("%d seconds are %s", (seconds, said) => {
  expect(durationOf(seconds)).toBe(said);
});

test("durations follow the language", () => {
  chooseLanguage("ko");
  expect(durationOf(61)).toContain("1분");
  chooseLanguage("pt");
  expect(durationOf(2 * 86_400)).toContain("dias");
});

test("shares of nothing are none", () => {
  expect(shareOf(0, 0)).toBeUndefined();
  expect(shareOf(1, 3)).toBe("33.3%");
});
