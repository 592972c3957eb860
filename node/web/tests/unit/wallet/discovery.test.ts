import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { discoverWallets, wallets } from "../../../src/wallet/discovery";
import { announce, FakeWallet } from "./fake_wallet";

const INFO = { uuid: "one", rdns: "example.one", name: "One", icon: "data:," };

describe("wallets that announce themselves", () => {
  let undo = () => {};
  beforeEach(() => {
    wallets.value = [];
  });
  afterEach(() => undo());

  test("none, one, several; each once", () => {
    undo = discoverWallets();
    expect(wallets.value).toEqual([]);
    announce(new FakeWallet({}), INFO);
    announce(new FakeWallet({}), INFO);
    announce(new FakeWallet({}), { ...INFO, uuid: "two", name: "Two" });
    expect(wallets.value.map((one) => one.name)).toEqual(["One", "Two"]);
  });

  test("they are asked to speak, as those that were there first wait for that", () => {
    const provider = new FakeWallet({});
    const answer = () => announce(provider, INFO);
    addEventListener("eip6963:requestProvider", answer);
    undo = discoverWallets();
    removeEventListener("eip6963:requestProvider", answer);
    expect(wallets.value[0]?.provider).toBe(provider);
  });

  test("a second wallet cannot take the place of a first by its id", () => {
    undo = discoverWallets();
    const first = new FakeWallet({});
    announce(first, INFO);
    announce(new FakeWallet({}), { ...INFO, name: "Evil" });
    expect(wallets.value[0]?.provider).toBe(first);
  });

  test.each([undefined, null, 5, {}, { uuid: "x" }, { uuid: 1, rdns: 2, name: 3 }])("%o is no wallet", (info) => {
    undo = discoverWallets();
    announce(new FakeWallet({}), info as never);
    announce({ request: "no function" }, INFO);
    expect(wallets.value).toEqual([]);
  });

  test("a name loses what hides or turns text, and its length", () => {
    undo = discoverWallets();
    announce(new FakeWallet({}), { ...INFO, name: `\u202eksaM\u200b${"x".repeat(100)}` });
    expect(wallets.value[0]?.name).toMatch(/^ksaMx{36}$/);
  });

  test("a flood of wallets ends", () => {
    undo = discoverWallets();
    for (let i = 0; i < 1_000; i += 1) announce(new FakeWallet({}), { ...INFO, uuid: String(i) });
    expect(wallets.value).toHaveLength(20);
  });
});
