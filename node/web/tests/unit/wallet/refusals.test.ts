import { describe, expect, test } from "vitest";
import { encodeErrorResult } from "viem";
import { creditDepositsAbi } from "../../../src/chain/abis";
import { refusalOf, request } from "../../../src/chain/provider";
import { chooseLanguage, LANGUAGES, type Language } from "../../../src/words/language";
import { troubleSentence } from "../../../src/wallet/trouble";
import { FakeWallet, refuses, rpcError } from "./fake_wallet";

describe("what a wallet refuses", () => {
  test.each([
    [4001, "rejected"],
    [4100, "unauthorised"],
    [4200, "unsupported"],
    [4900, "disconnected"],
    [4901, "disconnected"],
    [4902, "unknownChain"],
    [-32002, "pending"],
    [-32601, "unsupported"],
    [-32603, "failed"],
  ])("code %i is %s", async (code, kind) => {
    const wallet = new FakeWallet({ eth_accounts: refuses(code) });
    await expect(request(wallet, "eth_accounts")).rejects.toMatchObject({ kind });
  });

  test("a code inside another is found, as mobile wallets wrap it", () => {
    const wrapped = rpcError(-32603, "Internal error", { originalError: { code: 4902, message: "Unrecognized" } });
    expect(refusalOf(wrapped).kind).toBe("unknownChain");
    expect(refusalOf({ code: -32603, cause: { code: 4001 } }).kind).toBe("rejected");
  });

  test("too little money is said as that", () => {
    expect(refusalOf(rpcError(-32000, "insufficient funds for gas * price + value")).kind).toBe("noFunds");
  });

  test.each([undefined, null, "no", 7, {}, { code: "x" }])("%o is a refusal, too", (thrown) => {
    expect(refusalOf(thrown).kind).toBe("failed");
  });

  test("an error that holds itself ends", () => {
    const error: Record<string, unknown> = { message: "round" };
    error["cause"] = error;
    expect(refusalOf(error).detail).toBe("round");
  });

  test("a wallet's own text is shown short", () => {
    expect(refusalOf(rpcError(1, "x".repeat(5_000))).detail).toHaveLength(300);
  });
});

describe("sentences", () => {
  const kinds = [4001, -32002, 4100, 4200, 4900, 4902, -32000].map((code) => refusalOf(rpcError(code, "why")));

  test.each(Object.keys(LANGUAGES) as Language[])("every refusal is a sentence in %s", (language) => {
    chooseLanguage(language);
    const said = kinds.map(troubleSentence);
    expect(new Set(said).size).toBe(kinds.length);
    for (const sentence of said) expect(sentence.length).toBeGreaterThan(8);
    chooseLanguage("en");
  });

  test("the contract's reason is said in words, and that nothing was sent", () => {
    const data = encodeErrorResult({
      abi: creditDepositsAbi,
      errorName: "CreditDeposits_NothingToRefund",
      args: ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"],
    });
    const said = troubleSentence(refusalOf(rpcError(3, "execution reverted", data)));
    expect(said).toContain("nothing is left to give back");
    expect(said).toContain("Nothing was sent");
  });
});
