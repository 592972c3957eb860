import { beforeEach, describe, expect, test } from "vitest";
import { creditDepositsAbi as abi } from "../../../src/chain/abis";
import type { NetworkFacts } from "../../../src/chain/network";
import type { Connection } from "../../../src/wallet/connection";
import { forget, transactions } from "../../../src/wallet/journal";
import { send } from "../../../src/wallet/sending";
import { ALICE, BOB, FakeWallet, found, refuses } from "./fake_wallet";

const CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const FACTS = { chainId: 31337, name: "Test", rpcUrls: [], confirmations: 2 } as unknown as NetworkFacts;
const HASH = `0x${"ab".repeat(32)}`;

function answers(): Record<string, unknown> {
  return {
    eth_chainId: "0x7a69",
    eth_accounts: [ALICE],
    eth_getCode: "0x6000",
    eth_getBalance: "0xde0b6b3a7640000",
    eth_estimateGas: "0xc350",
    eth_gasPrice: "0x3b9aca00",
    eth_getTransactionCount: "0x5",
    eth_getBlockByNumber: { number: "0x10", hash: HASH, timestamp: "0x64" },
    eth_sendTransaction: HASH,
  };
}

const from = (wallet: FakeWallet): Connection => ({ wallet: found(wallet), account: ALICE, chainId: 31337 });
const deposit = (wallet: FakeWallet, value = 10n ** 16n) =>
  send(from(wallet), FACTS, "deposit", { address: CONTRACT, abi, functionName: "deposit", args: [ALICE], value });

describe("sending", () => {
  beforeEach(() => {
    for (const one of transactions.value) forget(one.id);
  });

  test("writes the transaction down before the wallet is asked, and its hash after", async () => {
    let before: string | undefined;
    const wallet = new FakeWallet({
      ...answers(),
      eth_sendTransaction: () => {
        before = localStorage.getItem("nexus.transactions") ?? "";
        return HASH;
      },
    });
    await deposit(wallet);
    expect(JSON.parse(before ?? "")).toMatchObject([{ state: "asked", deed: "deposit", nonce: 5, block: 16 }]);
    expect(transactions.value).toMatchObject([{ state: "pending", hash: HASH, value: String(10n ** 16n) }]);
    const sent = wallet.asked.find((one) => one.method === "eth_sendTransaction")?.params[0];
    expect(sent).toMatchObject({ from: ALICE, to: CONTRACT, value: "0x2386f26fc10000", gas: "0xea60" });
  });

  test.each([4001, -32002, 4100, 4200])("leaves nothing behind where the wallet says %i", async (code) => {
    const wallet = new FakeWallet({ ...answers(), eth_sendTransaction: refuses(code) });
    await expect(deposit(wallet)).rejects.toThrow();
    expect(transactions.value).toEqual([]);
  });

  test.each([4900, -32603])("stays written down where it may have been sent (%i)", async (code) => {
    const wallet = new FakeWallet({ ...answers(), eth_sendTransaction: refuses(code) });
    await expect(deposit(wallet)).rejects.toThrow();
    expect(transactions.value).toMatchObject([{ state: "asked" }]);
  });

  test.each([
    ["the wallet turned to another account", { eth_accounts: [BOB] }, "otherAccount"],
    [
      "the wallet is on another chain and stays",
      { eth_chainId: "0x1", wallet_switchEthereumChain: null },
      "wrongChain",
    ],
    ["no contract is there", { eth_getCode: "0x" }, "noContract"],
    ["the account has too little", { eth_getBalance: "0x1" }, "noFunds"],
    ["the contract would refuse", { eth_estimateGas: refuses(3, "execution reverted", "0x12345678") }, "failed"],
  ])("asks for no signature where %s", async (_, changed, kind) => {
    const wallet = new FakeWallet({ ...answers(), ...changed });
    await expect(deposit(wallet)).rejects.toMatchObject({ kind });
    expect(wallet.methods()).not.toContain("eth_sendTransaction");
    expect(transactions.value).toEqual([]);
  });
});
