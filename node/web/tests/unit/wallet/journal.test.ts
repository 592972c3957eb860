import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { KeptTransaction } from "../../../src/wallet/journal";
import { ALICE, BOB } from "./fake_wallet";

const KEY = "nexus.transactions";
const ONE: KeptTransaction = {
  id: "one",
  deed: "deposit",
  account: ALICE,
  chainId: 31337,
  to: BOB,
  data: "0x",
  value: "7",
  nonce: 5,
  block: 16,
  at: 1,
  state: "pending",
};

/** The journal as a page that is loaded now has it. */
async function loaded() {
  vi.resetModules();
  return import("../../../src/wallet/journal");
}

describe("the journal", () => {
  beforeEach(() => localStorage.clear());
  afterEach(() => localStorage.clear());

  test("is there after a reload", async () => {
    (await loaded()).note(ONE);
    expect((await loaded()).transactions.value).toEqual([ONE]);
  });

  test.each(["{", "null", "7", '{"a":1}', "[1,null,[]]"])(
    "takes nothing from storage that is broken: %s",
    async (text) => {
      localStorage.setItem(KEY, text);
      expect((await loaded()).transactions.value).toEqual([]);
    },
  );

  test.each([
    { deed: "steal" },
    { state: "rich" },
    { account: "0x1" },
    { to: "me" },
    { value: "-1" },
    { value: "1e9" },
    { nonce: 1.5 },
    { hash: "0x12" },
    { seenIn: 5 },
  ])("takes no entry with %o", async (changed) => {
    localStorage.setItem(KEY, JSON.stringify([{ ...ONE, ...changed }, ONE]));
    expect((await loaded()).transactions.value).toEqual([ONE]);
  });

  test("of two tabs keeps what both wrote, and each sees the other's", async () => {
    const here = await loaded();
    const undo = here.followOtherTabs();
    const there = await loaded();
    there.note({ ...ONE, id: "two", at: 2 });
    dispatchEvent(new StorageEvent("storage", { key: KEY }));
    expect(here.transactions.value.map((one) => one.id)).toEqual(["two"]);
    here.note(ONE);
    expect((await loaded()).transactions.value.map((one) => one.id)).toEqual(["two", "one"]);
    undo();
  });

  test("loses nothing of this tab where the browser keeps nothing", async () => {
    const { note, forget, transactions } = await loaded();
    const refusing = vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
      throw new DOMException("full", "QuotaExceededError");
    });
    note(ONE);
    note({ ...ONE, id: "two", at: 2 });
    expect(transactions.value.map((one) => one.id)).toEqual(["two", "one"]);
    forget("one");
    expect(transactions.value.map((one) => one.id)).toEqual(["two"]);
    refusing.mockRestore();
  });

  test("never drops what is open for what is over", async () => {
    const { note, transactions } = await loaded();
    note(ONE);
    for (let i = 0; i < 60; i += 1) note({ ...ONE, id: `over-${i}`, at: 10 + i, state: "confirmed" });
    expect(transactions.value).toHaveLength(40);
    expect(transactions.value.at(-1)).toEqual(ONE);
  });
});
