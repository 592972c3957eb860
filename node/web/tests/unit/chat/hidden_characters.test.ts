// @vitest-environment node
import { expect, test } from "vitest";
import { visible } from "../../../src/pages/chat/text/hidden_characters";

test.each([
  ["a right-to-left override", "pay \u202eeviL\u202c", "pay ⟦U+202E⟧eviL⟦U+202C⟧"],
  ["isolates", "\u2066a\u2069", "⟦U+2066⟧a⟦U+2069⟧"],
  ["a zero-width space", "pass\u200bword", "pass⟦U+200B⟧word"],
  ["marks of direction", "\u200e\u200f\u061c", "⟦U+200E⟧⟦U+200F⟧⟦U+061C⟧"],
  ["a byte order mark", "\ufeffa", "⟦U+FEFF⟧a"],
  ["a soft hyphen", "ad\u00admin", "ad⟦U+00AD⟧min"],
  ["a Hangul filler", "a\u3164b", "a⟦U+3164⟧b"],
  ["tag characters, which smuggle text", "a\u{e0041}b", "a⟦U+E0041⟧b"],
  ["variation selectors, which do so too", "a\ufe01\u{e0101}", "a⟦U+FE01⟧⟦U+E0101⟧"],
  ["a joiner between Latin letters", "a\u200db\u200cc", "a⟦U+200D⟧b⟦U+200C⟧c"],
  ["escape and null", "\u001b[31m\u0000", "⟦U+001B⟧[31m⟦U+0000⟧"],
  ["a line separator", "a\u2028b", "a⟦U+2028⟧b"],
  ["a carriage return that hides what stands before", "good\rbad", "good⟦U+000D⟧bad"],
])("%s is shown", (_, text, shown) => {
  expect(visible(text)).toBe(shown);
});

test.each([
  ["a family", "👨\u200d👩\u200d👧"],
  ["a heart and a skin", "❤\ufe0f 👍🏽"],
  ["a flag of joined parts", "🏳\ufe0f\u200d🌈"],
  ["a joiner in Persian", "می\u200cخواهم"],
  ["a joiner in Hindi", "क्\u200dष"],
  ["Korean, Portuguese, lines and tabs", "한국어\tOlá\r\nação\n"],
])("%s stays as it is", (_, text) => {
  expect(visible(text)).toBe(text);
});
