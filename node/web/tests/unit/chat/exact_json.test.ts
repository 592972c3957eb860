// @vitest-environment node
import { expect, test } from "vitest";
import { parseExact, writeExact } from "../../../src/pages/chat/evidence/exact_json";

test("amounts of wei above 2^53 are not rounded", () => {
  const text = '{"maxPrice": 92000000000000000001, "price": 9007199254740993, "small": 7, "below": -9007199254740993}';
  expect(parseExact(text)).toEqual({
    maxPrice: 92000000000000000001n,
    price: 9007199254740993n,
    small: 7,
    below: -9007199254740993n,
  });
});

test("what is read is written again to the digit", () => {
  const value = { a: [123456789012345678901234567890n, 1, "2"], b: { c: 0n }, d: null, e: true };
  const text = writeExact(value);
  expect(text).toContain("123456789012345678901234567890,");
  expect(parseExact(text)).toEqual({ a: [123456789012345678901234567890n, 1, "2"], b: { c: 0 }, d: null, e: true });
});

test("digits within texts, fractions and exponents are what JSON says", () => {
  const text = JSON.stringify({
    "12345678901234567890": 'say "12345678901234567890", 1',
    f: 0.1234567890123456789,
    g: 1e300,
  });
  expect(parseExact(text)).toEqual(JSON.parse(text));
  expect(parseExact('{"x": 12345678901234567890.5}')).toEqual({ x: 12345678901234567890.5 });
});

test("whole numbers that a Number holds are numbers", () => {
  expect(parseExact("[9007199254740991]")).toEqual([9007199254740991]);
});

test.each(["", "{", "[1,]", "12345678901234567890 1", "nonsense"])("%j is no JSON", (text) => {
  expect(() => parseExact(text)).toThrow(SyntaxError);
});
