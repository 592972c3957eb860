import { describe, expect, test } from "vitest";
import { factsOf } from "../../../src/chain/network";

const ADDRESS = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const SAID = {
  chain_id: 31337,
  name: "Test",
  rpc_urls: ["https://a.example", "javascript:alert(1)", "https://user@b.example"],
  currency: { name: "Ether", symbol: "ETH", decimals: 18 },
  contracts: { node_registry: ADDRESS.toLowerCase(), inference_market: ADDRESS, dispute_game: ADDRESS },
  block: 2,
  confirmations: 0,
  deposits: { contract: ADDRESS, block: 3, operator: ADDRESS, notice: 3600 },
  sign_in: true,
};

describe("what the gateway says of its chain", () => {
  test("is read: addresses with their checksum, and only addresses of the web for wallets", () => {
    const facts = factsOf(SAID);
    expect(facts.contracts.nodes).toBe(ADDRESS);
    expect(facts.rpcUrls).toEqual(["https://a.example"]);
    expect(facts.confirmations).toBe(1);
    expect(facts.verifiers).toEqual([]);
    const verifiers = [
      "https://b.example",
      "https://b.example/x",
      "javascript:1",
      "http://127.0.0.1:8000",
      "https://u@c",
    ];
    expect(factsOf({ ...SAID, verifiers }).verifiers).toEqual(["https://b.example", "http://127.0.0.1:8000"]);
    expect(facts.deposits).toMatchObject({ contract: ADDRESS, notice: 3600 });
    expect(factsOf({ ...SAID, deposits: null }).deposits).toBeUndefined();
  });

  test.each([
    null,
    [],
    "text",
    { ...SAID, chain_id: "31337" },
    { ...SAID, chain_id: 0 },
    { ...SAID, name: "x".repeat(500) },
    { ...SAID, rpc_urls: "https://a.example" },
    { ...SAID, contracts: {} },
    { ...SAID, contracts: { ...SAID.contracts, node_registry: "0x12" } },
    { ...SAID, confirmations: 1.5 },
    { ...SAID, deposits: { ...SAID.deposits, contract: "nowhere" } },
  ])("is refused as a whole: %o", (said) => {
    expect(() => factsOf(said)).toThrow("cannot be read");
  });
});
