import { language } from "../words/language";

/** What a publisher gets beside `wei`, rounded down as the contract rounds. */
export function publisherShare(wei: bigint, basisPoints: number): bigint {
  return (wei * BigInt(basisPoints)) / 10_000n;
}

/** A rate in words, in the page's language. */
export function rateOf(basisPoints: number): string {
  return (basisPoints / 10_000).toLocaleString(language.value, { style: "percent", maximumFractionDigits: 2 });
}
