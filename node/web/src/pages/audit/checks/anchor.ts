import { decodeFunctionResult, encodeFunctionData, parseAbi } from "viem";

const REGISTRY = parseAbi([
  "function certificate(bytes32 modelVersion) view returns ((string cid, bytes32 contentHash, uint64 anchoredAt))",
]);

/** Asks a chain; a wallet's `request` is one. */
export type AskChain = (method: string, params: readonly unknown[]) => Promise<unknown>;

/** What a registry keeps for a version; `anchoredAt`: seconds since 1970. */
export interface AnchorOnChain {
  readonly cid: string;
  readonly contentHash: string;
  readonly anchoredAt: number;
}

/**
 * What the chain behind a wallet says is anchored for a version; undefined where nothing is. Throws what `ask` throws,
 * and where there is no such contract.
 */
export async function anchorThrough(
  ask: AskChain,
  registry: string,
  version: string,
): Promise<AnchorOnChain | undefined> {
  const data = encodeFunctionData({ abi: REGISTRY, functionName: "certificate", args: [version as `0x${string}`] });
  const said = await ask("eth_call", [{ to: registry, data }, "latest"]);
  if (typeof said !== "string" || said === "0x") throw new Error(`there is no certificate registry at ${registry}`);
  const found = decodeFunctionResult({ abi: REGISTRY, functionName: "certificate", data: said as `0x${string}` });
  if (found.anchoredAt === 0n) return undefined;
  return { cid: found.cid, contentHash: found.contentHash, anchoredAt: Number(found.anchoredAt) };
}
