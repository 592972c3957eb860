import { describe, expect, test } from "vitest";
import { identityOf } from "../../../src/pages/operate/identity";
import { ALICE, BOB } from "../wallet/fake_wallet";

const SAID = {
  node: ALICE.toLowerCase(),
  wallet: BOB,
  receipt_key: "0x5FbDB2315678afecb367f032d93F642f64180aa3",
  tls_key_hash: `0x${"ab".repeat(32)}`,
  endpoint: "node.example.org:7070",
  model_version: `0x${"cd".repeat(32)}`,
  layers: [0, 3],
  price: "1000000000",
  chain_id: 31337,
  node_registry: "0x5FbDB2315678afecb367f032d93F642f64180aa3",
};
const read = (changes = {}) => identityOf(JSON.stringify({ ...SAID, ...changes }));

describe("what a machine printed of itself", () => {
  test("is read, with addresses in EIP-55 capitals", () => {
    expect(read()).toEqual({
      node: ALICE,
      wallet: BOB,
      receiptKey: SAID.receipt_key,
      tlsKeyHash: SAID.tls_key_hash,
      endpoint: SAID.endpoint,
      modelVersion: SAID.model_version,
      layers: [0, 3],
      price: "1000000000",
      registry: { chainId: 31337, registry: SAID.node_registry },
    });
  });

  test.each(["", "{", "null", "7", "[]", "nexus-node: error"])("is not %j", (text) => {
    expect(identityOf(text)).toBeUndefined();
  });

  test.each([
    { node: "0x12" },
    { wallet: undefined },
    { receipt_key: "0x5FbDB2315678afecb367f032d93F642f64180a" },
    { tls_key_hash: `0x${"00".repeat(32)}` },
    { tls_key_hash: "0xab" },
    { endpoint: "node.example.org" },
    { endpoint: "node.example.org:0" },
    { endpoint: "node.example.org:70700" },
    { endpoint: "https://node.example.org:7070" },
    { endpoint: `${"a".repeat(300)}:7070` },
    { endpoint: "a b:7070" },
  ])("is refused with %o: it would be signed", (changes) => {
    expect(read(changes)).toBeUndefined();
  });

  test.each([{ layers: [3, 3] }, { layers: [-1, 3] }, { layers: "0-3" }, { layers: [0.5, 3] }])(
    "offers no layers from %o",
    (changes) => {
      expect(read(changes)).toBeDefined();
      expect(read(changes)?.layers).toBeUndefined();
    },
  );

  test.each([{ price: "1e9" }, { price: 5 }, { price: "-1" }])("offers no price from %o", (changes) => {
    expect(read(changes)?.price).toBeUndefined();
  });

  test("an endpoint may be an IPv6 address", () => expect(read({ endpoint: "[::1]:7070" })).toBeDefined());
});
