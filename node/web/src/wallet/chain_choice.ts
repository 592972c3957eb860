import { hexOf } from "../chain/calls";
import type { NetworkFacts } from "../chain/network";
import { request, WalletRefusal, type Provider } from "../chain/provider";

/**
 * See to it that the wallet is on the gateway's chain: it is asked to switch, and to add the chain where it does not
 * know it. Throws WalletRefusal: `noRpcUrl` where the gateway names no server that a wallet could add it with.
 */
export async function requireChain(provider: Provider, facts: NetworkFacts): Promise<void> {
  if (await isOn(provider, facts.chainId)) return;
  const chainId = hexOf(facts.chainId);
  try {
    await request(provider, "wallet_switchEthereumChain", [{ chainId }]);
  } catch (error) {
    if (!(error instanceof WalletRefusal) || error.kind !== "unknownChain") throw error;
    if (facts.rpcUrls.length === 0) throw new WalletRefusal("noRpcUrl", String(facts.chainId));
    const { name, rpcUrls, currency } = facts;
    await request(provider, "wallet_addEthereumChain", [
      { chainId, chainName: name, rpcUrls, nativeCurrency: currency },
    ]);
    // Some wallets add a chain and stay where they were.
    if (!(await isOn(provider, facts.chainId))) await request(provider, "wallet_switchEthereumChain", [{ chainId }]);
  }
  // INVARIANT: nothing is sent on a chain that the wallet only says it went to.
  if (!(await isOn(provider, facts.chainId))) throw new WalletRefusal("wrongChain", String(facts.chainId));
}

async function isOn(provider: Provider, chainId: number): Promise<boolean> {
  return Number(await request<string>(provider, "eth_chainId")) === chainId;
}
