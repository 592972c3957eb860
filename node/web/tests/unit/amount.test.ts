import { beforeEach, expect, test } from "vitest";
import { etherOf } from "../../src/design/amount";
import { chooseLanguage } from "../../src/words/language";

beforeEach(() => chooseLanguage("en"));

test.each([
  [0n, "0 ETH"],
  [1n, "1 wei"],
  [999n, "999 wei"],
  [1_500_000_000n, "1.5 gwei"],
  [10n ** 18n, "1 ETH"],
  [1_234_567_891_234_567_891n, "1.234567 ETH"],
  [-(10n ** 17n), "-0.1 ETH"],
  [12_345n * 10n ** 18n, "12,345 ETH"],
])("%s wei reads %s", (wei, text) => {
  expect(etherOf(wei)).toBe(text);
});

test("digits are written as the language writes them", () => {
  chooseLanguage("pt");
  expect(etherOf(15n * 10n ** 17n)).toBe("1,5 ETH");
});
