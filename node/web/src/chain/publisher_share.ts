import { language } from "../words/language";

/** What a publisher gets beside `wei`, rounded down as the contract rounds. */
export function publisherShare(wei: bigint, basisPoints: number): bigint {
  return (wei * BigInt(basisPoints)) / 10_000n;
}

/** A rate in words, in the page's language. */
export function rateOf(basisPoints: number): string {
  return (basisPoints / 10_000).toLocaleString(language.value, { style: "percent", maximumFractionDigits: 2 });
}

/** What a user pays for a token: what nodes ask for it, and on top of that the publisher's share, basis points. */
export interface TokenPrice {
  readonly weiPerToken: bigint;
  readonly share: number;
}

const WHOLE = 10_000n;
const MOST_SHARE = 2_000;
/** A bill rounds the share up for each node of an answer, a session has 32, and for what has no receipt. */
const MOST_PARTS = 33n;

/** The most that a publisher can get of an answer of which nodes and vault get `wei`. */
export function mostBeside(wei: bigint): bigint {
  return publisherShare(wei, MOST_SHARE) + MOST_PARTS;
}

/** The price of a model as the gateway lists it; undefined where it has none, or one that can be no price. */
export function priceOf(listed: { wei_per_token?: unknown; share_basis_points?: unknown }): TokenPrice | undefined {
  const { wei_per_token: wei, share_basis_points: share = 0 } = listed;
  if (typeof wei !== "string" || !/^\d{1,40}$/.test(wei)) return undefined;
  if (!Number.isInteger(share) || (share as number) < 0 || (share as number) > MOST_SHARE) return undefined;
  return { weiPerToken: BigInt(wei), share: share as number };
}

/** Wei that a user pays for `tokens`, the share included, rounded up. */
export function paidFor(tokens: bigint, price: TokenPrice): bigint {
  return (tokens * price.weiPerToken * (WHOLE + BigInt(price.share)) + WHOLE - 1n) / WHOLE;
}

/** Tokens that `wei` pays, their share included; undefined where they cost nothing. */
export function tokensFor(wei: bigint, price: TokenPrice): bigint | undefined {
  if (price.weiPerToken === 0n) return undefined;
  return (wei * WHOLE) / (price.weiPerToken * (WHOLE + BigInt(price.share)));
}
