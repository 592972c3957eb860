import { describe, expect, test } from "vitest";
import type { KeptTransaction } from "../../../src/wallet/journal";
import { look } from "../../../src/wallet/watching";
import { ALICE, BOB, FakeWallet } from "./fake_wallet";

const HASH = `0x${"ab".repeat(32)}` as const;
const BLOCK = `0x${"01".repeat(32)}` as const;
const OTHER_BLOCK = `0x${"02".repeat(32)}` as const;
const TO = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const SENT: KeptTransaction = {
  id: "one",
  deed: "deposit",
  account: ALICE,
  chainId: 31337,
  to: TO,
  data: "0xf340fa01",
  value: "7",
  nonce: 5,
  block: 16,
  at: 1,
  state: "pending",
  hash: HASH,
};
const { hash: _, ...UNHEARD } = { ...SENT, state: "asked" as const };
const receipt = (changes = {}) => ({ blockHash: BLOCK, blockNumber: "0x11", status: "0x1", ...changes });
const chain = (answers: Record<string, unknown>) =>
  new FakeWallet({
    eth_blockNumber: "0x11",
    eth_getTransactionCount: "0x5",
    eth_getTransactionByHash: null,
    eth_getTransactionReceipt: null,
    ...answers,
  });

const OTHER = `0x${"cd".repeat(32)}` as const;
const AS_MINED = {
  hash: HASH,
  from: ALICE.toLowerCase(),
  to: TO.toLowerCase(),
  nonce: "0x5",
  input: "0xF340fa01",
  value: "0x7",
};

describe("a transaction that was sent", () => {
  test("waits while its chain knows it, or nothing took its place", async () => {
    expect(await look(chain({ eth_getTransactionByHash: { nonce: "0x5" } }), SENT, 2)).toBe(SENT);
    expect(await look(chain({}), SENT, 2)).toBe(SENT);
  });

  test("is in a block, then done after its confirmations", async () => {
    const first = await look(chain({ eth_getTransactionReceipt: receipt() }), SENT, 3);
    expect(first).toMatchObject({ state: "included", depth: 1, seenIn: BLOCK });
    const later = await look(chain({ eth_getTransactionReceipt: receipt(), eth_blockNumber: "0x13" }), first, 3);
    expect(later).toMatchObject({ state: "confirmed", depth: 3 });
    expect(later.reorganised).toBeUndefined();
  });

  test("that reverted is said to have failed", async () => {
    const answers = { eth_getTransactionReceipt: receipt({ status: "0x0" }) };
    expect(await look(chain(answers), SENT, 1)).toMatchObject({ state: "failed" });
  });

  test("whose block is gone is looked for again, and said", async () => {
    const before: KeptTransaction = { ...SENT, state: "included", seenIn: BLOCK, depth: 1 };
    const gone = await look(chain({}), before, 3);
    expect(gone).toMatchObject({ state: "pending", reorganised: true });
    expect(gone.seenIn).toBeUndefined();
    const back = await look(chain({ eth_getTransactionReceipt: receipt({ blockHash: OTHER_BLOCK }) }), gone, 3);
    expect(back).toMatchObject({ state: "included", seenIn: OTHER_BLOCK, reorganised: true });
  });

  test("that moved to another block is noticed, though it is as deep as before", async () => {
    const before: KeptTransaction = { ...SENT, state: "included", seenIn: BLOCK, depth: 1 };
    const moved = await look(chain({ eth_getTransactionReceipt: receipt({ blockHash: OTHER_BLOCK }) }), before, 3);
    expect(moved).toMatchObject({ reorganised: true, seenIn: OTHER_BLOCK });
  });

  test("is replaced where another of its number was mined", async () => {
    const other = { ...AS_MINED, hash: OTHER, input: "0x" };
    const answers = { eth_getTransactionCount: "0x6", eth_getBlockByNumber: { transactions: [other] } };
    expect(await look(chain(answers), SENT, 2)).toMatchObject({ state: "replaced" });
  });

  test("goes on under the hash with which its wallet sent it again", async () => {
    const again = { ...AS_MINED, hash: OTHER };
    const answers = { eth_getTransactionCount: "0x6", eth_getBlockByNumber: { transactions: [again] } };
    expect(await look(chain(answers), SENT, 2)).toMatchObject({ state: "pending", hash: OTHER });
  });

  test("is not said to be replaced where nobody has seen by what", async () => {
    const answers = { eth_getTransactionCount: "0x6", eth_getBlockByNumber: null };
    expect(await look(chain(answers), SENT, 2)).toBe(SENT);
  });

  test("that was mined between two questions is not replaced", async () => {
    let asked = 0;
    const answers = {
      eth_getTransactionCount: "0x6",
      eth_getTransactionReceipt: () => ((asked += 1) > 1 ? receipt() : null),
    };
    expect(await look(chain(answers), SENT, 1)).toMatchObject({ state: "confirmed" });
  });
});

describe("a transaction whose hash was never heard, as the page was loaded again", () => {
  const after = (transaction: object) =>
    chain({
      eth_getTransactionCount: "0x6",
      eth_getBlockByNumber: ([number]: [string]) => ({ transactions: number === "0x11" ? [transaction] : [] }),
    });

  test("waits while the account has sent nothing", async () => {
    expect(await look(chain({}), UNHEARD, 2)).toBe(UNHEARD);
  });

  test("is found by its sender and number", async () => {
    expect(await look(after(AS_MINED), UNHEARD, 2)).toMatchObject({ state: "pending", hash: HASH });
  });

  test.each([{ to: BOB }, { to: null }, { input: "0x" }, { value: "0x8" }])(
    "is not taken for another of the same number: %o",
    async (changed) => {
      const found = await look(after({ ...AS_MINED, ...changed }), UNHEARD, 2);
      expect(found).toMatchObject({ state: "replaced" });
      expect(found.hash).toBeUndefined();
    },
  );
});
