import { afterEach, expect, test, vi } from "vitest";
import { GatewayError } from "../../../src/api/gateway";
import { giveToWatcher, verifyByAddress, verifyFile } from "../../../src/pages/chat/evidence/commands";
import { odditiesOf, readReceipts, receiptsOf } from "../../../src/pages/chat/evidence/evidence";

const ID = "0123456789abcdef0123456789abcdef";
const HASH = `0x${"ab".repeat(32)}`;
const [FIRST, SPARE, LAST] = ["1", "2", "3"].map((digit) => `0x${digit.repeat(40)}`);

const receipt = (segment: number, node: string | undefined, price: string) => ({ segment, node, price_wei: price });

function told(change: object = {}) {
  return {
    id: ID,
    model_version: HASH,
    cost_wei: "105",
    bill_wei: { nodes: "90", vault: "10", gas: "3", fee: "2" },
    session: HASH,
    order: HASH,
    receipts: [receipt(0, FIRST, "30"), receipt(1, LAST, "30"), receipt(0, SPARE, "20"), receipt(1, LAST, "20")],
    failovers: [{}],
    audits: [],
    proof: {
      order: {
        document: {
          maxPrice: 100,
          asks: [
            { layerStart: 0, layerEnd: 2 },
            { layerStart: 2, layerEnd: 6 },
          ],
        },
      },
      promptLength: 2,
      tokens: [1, 2, 3, 4, 5],
    },
    ...change,
  };
}

afterEach(() => vi.unstubAllGlobals());

test("receipts say which node ran which layers, and what it was paid", () => {
  const { evidence } = readReceipts(JSON.stringify(told()), ID);
  expect(evidence.route).toEqual([
    {
      layers: [0, 2],
      nodes: [
        { node: FIRST, receipts: 1, priceWei: "30" },
        { node: SPARE, receipts: 1, priceWei: "20" },
      ],
    },
    { layers: [2, 6], nodes: [{ node: LAST, receipts: 2, priceWei: "50" }] },
  ]);
  expect(evidence).toMatchObject({ costWei: "105", gatewayWei: "5", receipts: 4, failovers: 1 });
  expect(evidence).toMatchObject({ promptTokens: 2, answerTokens: 3 });
  expect(odditiesOf(evidence, HASH.toUpperCase().replace("0X", "0x"))).toEqual([]);
});

test("a publisher's share is part of the bill, and no part of what nodes may take", () => {
  const bill = { nodes: "90", vault: "10", publisher: "5", gas: "3", fee: "2" };
  const { evidence } = readReceipts(JSON.stringify(told({ cost_wei: "110", bill_wei: bill })), ID);
  expect([evidence.publisherWei, odditiesOf(evidence, HASH)]).toEqual(["5", []]);
  expect(odditiesOf({ ...evidence, publisherWei: "6" }, HASH)).toEqual(["bill"]);
});

test("what no publisher can get is odd: a fifth of the rest, and a wei for each of 33 roundings", () => {
  const { evidence } = readReceipts(JSON.stringify(told()), ID);
  const billed = (publisher: number) => {
    const network = 100_000;
    const costWei = String(network + publisher + Number(evidence.gatewayWei));
    const parts = { nodesWei: "90000", vaultWei: "10000", publisherWei: String(publisher), mostWei: String(network) };
    return odditiesOf({ ...evidence, ...parts, costWei }, HASH);
  };
  expect([billed(20_033), billed(20_034)]).toEqual([[], ["price"]]);
});

test("amounts above 2^53, which documents write as texts, are read to the wei", () => {
  const proof = {
    ...told().proof,
    order: { document: { ...told().proof.order.document, maxPrice: "9007199254740993" } },
  };
  expect(readReceipts(JSON.stringify(told({ proof })), ID).evidence.mostWei).toBe("9007199254740993");
});

test.each([
  ["a bill that does not add up", { cost_wei: "106" }, "bill"],
  [
    "a bill above the signed order",
    { cost_wei: "206", bill_wei: { nodes: "190", vault: "11", gas: "3", fee: "2" } },
    "price",
  ],
  ["another version than was named", { model_version: `0x${"cd".repeat(32)}` }, "version"],
])("%s is noticed", (_, change, oddity) => {
  const { evidence } = readReceipts(JSON.stringify(told(change)), ID);
  expect(odditiesOf(evidence, HASH)).toEqual([oddity]);
});

test.each([
  ["another answer's", { id: "f".repeat(32) }],
  ["an amount with a fraction", { cost_wei: "1.5" }],
  ["an amount as a number", { cost_wei: 105 }],
  ["a node that is no address", { receipts: [receipt(0, "<img src=x>", "1")] }],
  ["no proof", { proof: null }],
  ["no list", { receipts: "none" }],
])("receipts are refused: %s", (_, change) => {
  expect(() => readReceipts(JSON.stringify(told(change)), ID)).toThrow(GatewayError);
});

test("receipts that are not written yet are asked for again", async () => {
  vi.useFakeTimers();
  const missing = () => new Response('{"error": {"message": "none", "code": "not_found"}}', { status: 404 });
  const answers = [missing(), missing(), new Response(JSON.stringify(told()))];
  vi.stubGlobal("fetch", async () => answers.shift());
  const found = receiptsOf(ID);
  await vi.runAllTimersAsync();
  expect((await found).evidence.costWei).toBe("105");
  vi.useRealTimers();
});

test("receipts that never come are said to be missing", async () => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", async () => new Response("{}", { status: 404 }));
  const found = receiptsOf(ID).catch((error: unknown) => error);
  await vi.runAllTimersAsync();
  expect(await found).toMatchObject({ status: 404 });
  vi.useRealTimers();
});

test("the commands name the files that are offered, and nothing that a gateway could choose", () => {
  const answer = {
    key: "k",
    model: "evil; rm -rf ~",
    version: HASH,
    question: { endpoint: "/v1/completions", body: {} },
    text: "",
    state: "whole",
    id: ID,
  } as const;
  const command = verifyByAddress(answer, "https://gateway.example");
  expect(command.replace(/ \\\n {2}/g, " ")).toBe(
    `nexus verify https://gateway.example/v1/receipts/${ID} --api-key-file KEYFILE --request request-${ID}.json ` +
      `--endpoint /v1/completions --answer-text text-${ID}.txt --version ${HASH}`,
  );
  expect(verifyFile(ID)).toBe(`nexus verify answer-${ID}.json`);
  expect(giveToWatcher(ID)).toContain(`answer-${ID}.json handed-over/`);
});
