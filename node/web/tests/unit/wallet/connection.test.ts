import { beforeEach, describe, expect, test } from "vitest";
import { connect, connection, disconnect, reconnect, requireAccount } from "../../../src/wallet/connection";
import { wallets } from "../../../src/wallet/discovery";
import { ALICE, announce, BOB, FakeWallet, found, refuses } from "./fake_wallet";

const answers = (account = ALICE) => ({
  eth_requestAccounts: [account.toLowerCase()],
  eth_accounts: [account.toLowerCase()],
  eth_chainId: "0x7a69",
});

describe("a connection", () => {
  beforeEach(() => {
    disconnect();
    localStorage.clear();
    wallets.value = [];
  });

  test("has the account in EIP-55 capitals, and the chain", async () => {
    await connect(found(new FakeWallet(answers())));
    expect(connection.value).toMatchObject({ account: ALICE, chainId: 31337 });
  });

  test("follows changes of account and chain", async () => {
    const wallet = new FakeWallet(answers());
    await connect(found(wallet));
    wallet.emit("accountsChanged", [BOB]);
    expect(connection.value?.account).toBe(BOB);
    wallet.emit("chainChanged", "0x1");
    expect(connection.value?.chainId).toBe(1);
  });

  test.each([[[]], [["nonsense"]], ["nonsense"], [undefined]])("ends where no account is left: %o", async (said) => {
    const wallet = new FakeWallet(answers());
    await connect(found(wallet));
    wallet.emit("accountsChanged", said);
    expect(connection.value).toBeUndefined();
    expect(wallet.listening()).toBe(0);
  });

  test("of another wallet no longer listens to the first", async () => {
    const first = new FakeWallet(answers());
    await connect(found(first));
    await connect(found(new FakeWallet(answers(BOB)), "Other", "example.other"));
    first.emit("accountsChanged", [ALICE]);
    expect(connection.value?.account).toBe(BOB);
    expect(first.listening()).toBe(0);
  });

  test("is not there where the wallet declines, or gives no account", async () => {
    const declines = new FakeWallet({ eth_requestAccounts: refuses(4001) });
    await expect(connect(found(declines))).rejects.toMatchObject({ kind: "rejected" });
    const empty = new FakeWallet({ ...answers(), eth_requestAccounts: [] });
    await expect(connect(found(empty))).rejects.toMatchObject({ kind: "unauthorised" });
    expect(connection.value).toBeUndefined();
  });

  test("is taken up after a reload without a window, by the same wallet alone", async () => {
    await connect(found(new FakeWallet(answers())));
    const remembered = localStorage.getItem("nexus.wallet");
    disconnect();
    localStorage.setItem("nexus.wallet", remembered ?? "");
    const undo = reconnect();
    const other = new FakeWallet(answers(BOB));
    const same = new FakeWallet(answers());
    announce(other, { uuid: "2", rdns: "example.other", name: "Other" });
    announce(same, { uuid: "1", rdns: "example.fake", name: "Fake" });
    await expect.poll(() => connection.value?.account).toBe(ALICE);
    expect(other.methods()).toEqual([]);
    expect(same.methods()).not.toContain("eth_requestAccounts");
    undo();
  });

  test("is not taken up after it was ended here", async () => {
    await connect(found(new FakeWallet(answers())));
    disconnect();
    const undo = reconnect();
    const same = new FakeWallet(answers());
    announce(same, { uuid: "1", rdns: "example.fake", name: "Fake" });
    await Promise.resolve();
    expect(same.methods()).toEqual([]);
    undo();
  });

  test("to a wallet that turned to another account does nothing with it", async () => {
    const wallet = new FakeWallet(answers(BOB));
    await expect(requireAccount(wallet, ALICE)).rejects.toMatchObject({ kind: "otherAccount", detail: BOB });
    await expect(requireAccount(wallet, BOB)).resolves.toBeUndefined();
  });
});
