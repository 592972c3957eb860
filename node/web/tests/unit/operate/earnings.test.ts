import { describe, expect, test } from "vitest";
import { encodeAbiParameters, encodeEventTopics, type Hex } from "viem";
import { inferenceMarketAbi } from "../../../src/chain/abis";
import type { NetworkFacts } from "../../../src/chain/network";
import { readEarnings } from "../../../src/pages/operate/earnings";
import { ALICE, BOB, FakeWallet, rpcError } from "../wallet/fake_wallet";

const MARKET = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const REGISTRY = "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9";
const FACTS = { contracts: { market: MARKET, nodes: REGISTRY }, block: 0 } as unknown as NetworkFacts;
const DAY = 86_400;
const NOW = 1_789_997_600; // 2026-09-21T13:33:20Z
const HEAD = 1_000;
const timeOf = (block: number) => NOW - (HEAD - block) * 3_600; // a block an hour: 41 days

function settled(block: number, toNode: bigint, forfeited = false) {
  const topics = encodeEventTopics({
    abi: inferenceMarketAbi,
    eventName: "LineSettled",
    args: { session: `0x${"07".repeat(32)}`, node: ALICE },
  });
  const kinds = [{ type: "uint256" }, { type: "uint256" }, { type: "uint256" }, { type: "bool" }] as const;
  const data = encodeAbiParameters(kinds, [toNode, 1n, 0n, forfeited]);
  const transactionHash = `0x${block.toString(16).padStart(64, "0")}`;
  return { topics, data, blockNumber: `0x${block.toString(16)}`, transactionHash, address: MARKET };
}

/** A chain with these lines; `most`: blocks that its server looks through at once; `from`: who sent each. */
function chain(logs: ReturnType<typeof settled>[], { most = 10_000, from = ALICE } = {}): FakeWallet {
  return new FakeWallet({
    eth_getBlockByNumber: ([name]: [string]) => {
      const number = name === "latest" ? HEAD : Number(name);
      return { number: `0x${number.toString(16)}`, hash: "0x", timestamp: `0x${timeOf(number).toString(16)}` };
    },
    eth_getLogs: ([{ address, topics, fromBlock, toBlock }]: [
      { address: string; topics: [Hex[], unknown?]; fromBlock: Hex; toBlock: Hex },
    ]) => {
      if (Number(toBlock) - Number(fromBlock) >= most) throw rpcError(-32005, "query returned more than 10000 results");
      return logs.filter(
        (log) =>
          address === MARKET &&
          topics[0].includes(log.topics[0] as Hex) &&
          Number(log.blockNumber) >= Number(fromBlock) &&
          Number(log.blockNumber) <= Number(toBlock),
      );
    },
    eth_getTransactionReceipt: { from: from.toLowerCase(), gasUsed: "0x5208", effectiveGasPrice: "0x2" },
  });
}

describe("earnings by day", () => {
  test("are sums of UTC days, newest first, with the gas of what the node sent", async () => {
    const logs = [settled(HEAD - 30, 5n), settled(HEAD - 2, 10n, true), settled(HEAD - 1, 20n)];
    const { days, lastSeen, isCut } = await readEarnings(chain(logs), FACTS, ALICE, [ALICE]);
    expect(days).toEqual([
      { day: "2026-09-21", lines: 2, forfeited: 1, earned: 30n, gas: 84_000n },
      { day: "2026-09-20", lines: 1, forfeited: 0, earned: 5n, gas: 42_000n },
    ]);
    expect(lastSeen).toBe(timeOf(HEAD - 1));
    expect(isCut).toBe(false);
  });

  test("leave out what is older than thirty days", async () => {
    const edge = HEAD - (30 * DAY) / 3_600;
    const logs = [settled(edge - 1, 7n), settled(edge, 5n)];
    const { days } = await readEarnings(chain(logs), FACTS, ALICE, [ALICE]);
    expect(days.map((day) => day.earned)).toEqual([5n]);
  });

  test("count no gas that somebody else paid", async () => {
    const logs = [settled(HEAD, 5n)];
    expect((await readEarnings(chain(logs, { from: BOB }), FACTS, ALICE, [ALICE])).days[0]?.gas).toBe(0n);
    expect((await readEarnings(chain(logs, { from: BOB }), FACTS, ALICE, [ALICE, BOB])).days[0]?.gas).toBe(42_000n);
  });

  test("are whole where a server takes short ranges alone", async () => {
    const logs = [settled(HEAD - 700, 1n), settled(HEAD - 300, 2n), settled(HEAD, 4n)];
    const { days } = await readEarnings(chain(logs, { most: 260 }), FACTS, ALICE, [ALICE]);
    expect(days.reduce((sum, day) => sum + day.earned, 0n)).toBe(7n);
  });

  test("are not made up where a server refuses", async () => {
    await expect(readEarnings(chain([], { most: 0 }), FACTS, ALICE, [ALICE])).rejects.toMatchObject({ kind: "failed" });
  });
});
