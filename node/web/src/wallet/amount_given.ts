import { parseEther } from "viem";

/** Wei of an amount of ether as people type it, `0,05` too; none where it is no amount above zero. */
export function weiOf(typed: string): bigint | undefined {
  const text = typed.trim().replace(",", ".");
  if (!/^\d{1,9}(\.\d{1,18})?$/.test(text)) return undefined;
  const wei = parseEther(text as `${number}`);
  return wei > 0n ? wei : undefined;
}

/** A whole number of wei as people type it; none where it is none. */
export function wholeOf(typed: string): bigint | undefined {
  const text = typed.trim();
  return /^\d{1,30}$/.test(text) ? BigInt(text) : undefined;
}
