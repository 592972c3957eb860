import { computed, signal } from "@preact/signals";
import type { ChainAtHand } from "./browser_checks";

interface Provider {
  request(asked: { method: string; params?: readonly unknown[] }): Promise<unknown>;
  on?(event: "chainChanged", listener: (chainId: unknown) => void): unknown;
}

const found = signal<{ readonly provider: Provider; readonly chainId: number } | undefined>(undefined);
let isLooking = false;

const atHand = computed<ChainAtHand | undefined>(() => {
  const wallet = found.value;
  if (!wallet) return undefined;
  return {
    chainId: wallet.chainId,
    ask: (method, params) => wallet.provider.request({ method, params }),
  };
});

/**
 * The chain behind the first wallet of this browser that answers (EIP-6963); undefined while none does. Reading a chain
 * shows no account to the page, so the wallet asks its owner nothing.
 */
export function chainAtHand(): ChainAtHand | undefined {
  if (!isLooking) {
    isLooking = true;
    addEventListener("eip6963:announceProvider", (event) => void take((event as CustomEvent<unknown>).detail));
    dispatchEvent(new Event("eip6963:requestProvider"));
  }
  return atHand.value;
}

async function take(announced: unknown): Promise<void> {
  const provider = (announced as { provider?: Provider } | null)?.provider;
  if (found.value || typeof provider?.request !== "function") return;
  try {
    const chainId = Number(await provider.request({ method: "eth_chainId" }));
    if (found.value || !Number.isSafeInteger(chainId)) return;
    found.value = { provider, chainId };
    provider.on?.("chainChanged", (changed) => (found.value = { provider, chainId: Number(changed) }));
  } catch {
    // It answers nothing: another wallet may.
  }
}
