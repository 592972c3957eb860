import type { Abi, Address, ContractFunctionName, Hex } from "viem";
import { balanceOf, blockAt, dataOf, hexOf, type ContractCall } from "../chain/calls";
import type { NetworkFacts } from "../chain/network";
import { request, WalletRefusal, type Provider, type RefusalKind } from "../chain/provider";
import { requireChain } from "./chain_choice";
import { requireAccount, type Connection } from "./connection";
import { forget, note, type Deed, type KeptTransaction } from "./journal";

/** What a transaction costs: gas, and wei for it at today's price. */
export interface Cost {
  readonly gas: bigint;
  readonly wei: bigint;
}

/** These say that nothing was sent. After any other error the wallet may still send it, so it stays written down. */
const NOTHING_SENT: readonly RefusalKind[] = ["rejected", "pending", "unauthorised", "unsupported", "noFunds"];
const SPARE_PERCENT = 20n;

/** What a call would cost now. Throws WalletRefusal, with the contract's reason where it would revert. */
export async function costOf<const Used extends Abi, Name extends ContractFunctionName<Used>>(
  provider: Provider,
  from: Address,
  call: ContractCall<Used, Name>,
): Promise<Cost> {
  const asked = { from, to: call.address, data: dataOf(call), value: hexOf(call.value ?? 0n) };
  const gas = BigInt(await request<Hex>(provider, "eth_estimateGas", [asked]));
  const price = BigInt(await request<Hex>(provider, "eth_gasPrice"));
  return { gas, wei: gas * price };
}

/**
 * Have the wallet send a call, on the gateway's chain, from the account that was shown. Returns what was written down.
 * Throws WalletRefusal; what then may have been sent all the same stays in the journal as `asked`.
 */
export async function send<const Used extends Abi, Name extends ContractFunctionName<Used>>(
  { wallet, account }: Connection,
  facts: NetworkFacts,
  deed: Deed,
  call: ContractCall<Used, Name>,
): Promise<KeptTransaction> {
  const { provider } = wallet;
  await requireChain(provider, facts);
  await requireAccount(provider, account);
  await requireCode(provider, call.address);
  const value = call.value ?? 0n;
  if ((await balanceOf(provider, account)) < value) throw new WalletRefusal("noFunds");
  const { gas } = await costOf(provider, account, call);
  const entry = await opened(provider, account, facts.chainId, deed, { to: call.address, data: dataOf(call), value });
  note(entry);
  try {
    const limit = gas + (gas * SPARE_PERCENT) / 100n;
    const { to, data } = entry;
    // INVARIANT: a wallet that has changed its chain meanwhile refuses, and sends nothing there.
    const chainId = hexOf(facts.chainId);
    const asked = { from: account, to, data, value: hexOf(value), gas: hexOf(limit), chainId };
    const hash = await request<Hex>(provider, "eth_sendTransaction", [asked]);
    const sent = { ...entry, hash, state: "pending" } as const;
    note(sent);
    return sent;
  } catch (error) {
    if (error instanceof WalletRefusal && NOTHING_SENT.includes(error.kind)) forget(entry.id);
    throw error;
  }
}

async function requireCode(provider: Provider, address: Address): Promise<void> {
  // INVARIANT: money that goes to an address without code is lost: a call of it succeeds and does nothing.
  if ((await request<Hex>(provider, "eth_getCode", [address, "latest"])) === "0x") {
    throw new WalletRefusal("noContract", address);
  }
}

async function opened(
  provider: Provider,
  account: Address,
  chainId: number,
  deed: Deed,
  { to, data, value }: { to: Address; data: Hex; value: bigint },
): Promise<KeptTransaction> {
  const nonce = Number(await request<Hex>(provider, "eth_getTransactionCount", [account, "pending"]));
  const block = (await blockAt(provider, "latest"))?.number ?? 0;
  const id = `${chainId}-${account}-${nonce}-${Date.now()}`;
  const at = Date.now();
  return { id, deed, account, chainId, to, data, value: String(value), nonce, block, at, state: "asked" };
}
