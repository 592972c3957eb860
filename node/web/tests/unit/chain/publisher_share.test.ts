import { expect, test } from "vitest";
import { paidFor, priceOf, tokensFor } from "../../../src/chain/publisher_share";

test("a price is what nodes ask and the publisher's rate", () => {
  expect(priceOf({ wei_per_token: "7", share_basis_points: 500 })).toEqual({ weiPerToken: 7n, share: 500 });
  // A gateway that is older than shares says nothing of them.
  expect(priceOf({ wei_per_token: "7" })).toEqual({ weiPerToken: 7n, share: 0 });
});

test.each([
  { wei_per_token: null, share_basis_points: 0 },
  { wei_per_token: "-7", share_basis_points: 0 },
  { wei_per_token: "7", share_basis_points: -1 },
  { wei_per_token: "7", share_basis_points: 2_001 },
  { wei_per_token: "7", share_basis_points: 0.5 },
  { wei_per_token: "7", share_basis_points: "500" },
])("what can be no price is none: %o", (listed) => {
  expect(priceOf(listed)).toBeUndefined();
});

test("a user pays the share too, rounded up", () => {
  expect(paidFor(1n, { weiPerToken: 1_000n, share: 2_000 })).toBe(1_200n);
  expect(paidFor(3n, { weiPerToken: 1n, share: 1 })).toBe(4n);
  expect(paidFor(5n, { weiPerToken: 9n, share: 0 })).toBe(45n);
});

test("an amount buys as many tokens as it pays with their share", () => {
  expect(tokensFor(1_200n, { weiPerToken: 100n, share: 2_000 })).toBe(10n);
  expect(tokensFor(1_199n, { weiPerToken: 100n, share: 2_000 })).toBe(9n);
  expect(tokensFor(1n, { weiPerToken: 0n, share: 0 })).toBeUndefined();
});
