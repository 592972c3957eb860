import type { Address } from "viem";
import { creditDepositsAbi as abi } from "../chain/abis";
import { balanceOf, blockAt, read } from "../chain/calls";
import type { DepositTerms } from "../chain/network";
import type { Provider } from "../chain/provider";

/** An account's money at a deposit contract, in wei, as the chain says. */
export interface Credit {
  /** Put in, and neither claimed nor given back. */
  readonly held: bigint;
  readonly claimed: bigint;
  /** Given back, and not fetched yet. */
  readonly withdrawable: bigint;
  /** Unix seconds from which on what is held can be taken out without the gateway; 0: it was not asked for. */
  readonly refundFrom: number;
  /** In the wallet. */
  readonly wallet: bigint;
  /** The chain's time, Unix seconds. */
  readonly now: number;
}

/** Throws WalletRefusal: `noContract` where the gateway names no deposit contract of its own. */
export async function readCredit(provider: Provider, terms: DepositTerms, account: Address): Promise<Credit> {
  const address = terms.contract;
  const [standing, withdrawable, wallet, head] = await Promise.all([
    read(provider, { address, abi, functionName: "accountOf", args: [account] }),
    read(provider, { address, abi, functionName: "balanceOf", args: [account] }),
    balanceOf(provider, account),
    blockAt(provider, "latest"),
  ]);
  const [deposited, claimed, refunded, refundFrom] = standing;
  return {
    held: deposited - claimed - refunded,
    claimed,
    withdrawable,
    refundFrom: Number(refundFrom),
    wallet,
    now: head?.timestamp ?? 0,
  };
}

/**
 * Whether the contract says of itself what the gateway says of it: who may claim, and after which notice a caller
 * takes the rest out. Throws WalletRefusal.
 */
export async function areTermsTrue(provider: Provider, terms: DepositTerms): Promise<boolean> {
  const address = terms.contract;
  const [operator, notice] = await Promise.all([
    read(provider, { address, abi, functionName: "operator" }),
    read(provider, { address, abi, functionName: "notice" }),
  ]);
  return operator === terms.operator && Number(notice) === terms.notice;
}
