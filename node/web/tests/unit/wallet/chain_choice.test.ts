import { describe, expect, test } from "vitest";
import type { NetworkFacts } from "../../../src/chain/network";
import { requireChain } from "../../../src/wallet/chain_choice";
import { FakeWallet, refuses, rpcError } from "./fake_wallet";

const FACTS = {
  chainId: 31337,
  name: "Test",
  rpcUrls: ["http://127.0.0.1:8545"],
  currency: { name: "Ether", symbol: "ETH", decimals: 18 },
} as unknown as NetworkFacts;

/** A wallet on chain 1 that knows the chains of `known`. */
function walletOn(known: Set<number>, { staysAfterAdding = false } = {}): FakeWallet {
  let chain = 1;
  return new FakeWallet({
    eth_chainId: () => `0x${chain.toString(16)}`,
    wallet_switchEthereumChain: ([{ chainId }]: [{ chainId: string }]) => {
      if (!known.has(Number(chainId))) throw rpcError(4902, "Unrecognized chain ID");
      chain = Number(chainId);
      return null;
    },
    wallet_addEthereumChain: ([{ chainId }]: [{ chainId: string }]) => {
      known.add(Number(chainId));
      if (!staysAfterAdding) chain = Number(chainId);
      return null;
    },
  });
}

describe("the gateway's chain", () => {
  test("asks nothing of a wallet that is there", async () => {
    const wallet = new FakeWallet({ eth_chainId: "0x7a69" });
    await requireChain(wallet, FACTS);
    expect(wallet.methods()).toEqual(["eth_chainId"]);
  });

  test("is switched to", async () => {
    const wallet = walletOn(new Set([31337]));
    await requireChain(wallet, FACTS);
    expect(wallet.methods()).not.toContain("wallet_addEthereumChain");
  });

  test.each([false, true])(
    "is added where the wallet does not know it (4902); it stays where it was: %s",
    async (staysAfterAdding) => {
      const wallet = walletOn(new Set(), { staysAfterAdding });
      await requireChain(wallet, FACTS);
      const added = wallet.asked.find((one) => one.method === "wallet_addEthereumChain");
      expect(added?.params).toEqual([
        { chainId: "0x7a69", chainName: "Test", rpcUrls: FACTS.rpcUrls, nativeCurrency: FACTS.currency },
      ]);
    },
  );

  test("is not added where the gateway names no server", async () => {
    const wallet = walletOn(new Set());
    await expect(requireChain(wallet, { ...FACTS, rpcUrls: [] })).rejects.toMatchObject({ kind: "noRpcUrl" });
    expect(wallet.methods()).not.toContain("wallet_addEthereumChain");
  });

  test.each([
    [4001, "rejected"],
    [-32002, "pending"],
    [-32601, "unsupported"],
  ])("is not gone to where the wallet says %i", async (code, kind) => {
    const wallet = new FakeWallet({ eth_chainId: "0x1", wallet_switchEthereumChain: refuses(code) });
    await expect(requireChain(wallet, FACTS)).rejects.toMatchObject({ kind });
  });

  test("is not believed in where the wallet only says that it went there", async () => {
    const wallet = new FakeWallet({ eth_chainId: "0x1", wallet_switchEthereumChain: null });
    await expect(requireChain(wallet, FACTS)).rejects.toMatchObject({ kind: "wrongChain" });
  });
});
