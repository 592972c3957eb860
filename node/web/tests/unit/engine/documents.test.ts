// @vitest-environment node
import { describe, expect, it } from "vitest";

import { isSignedBy, signedDocument } from "../../../src/engine/documents";
import { MerkleTree, leafHash } from "../../../src/engine/tree";
import { leafHashes } from "../../../src/engine/tensor_root";
import { hex, lines, loadKernels } from "./vectors";

interface Document {
  readonly document: "Order" | "TokenFeed" | "Receipt" | "AuditOrder";
  readonly message: unknown;
  readonly chainId: number;
  readonly verifyingContract: `0x${string}`;
  readonly digest: string;
  readonly signature: string;
  readonly signer: `0x${string}`;
}

const KINDS = ["Order", "TokenFeed", "Receipt", "AuditOrder"];
const documents = lines<Document>("eip712.jsonl").filter(({ document }) => KINDS.includes(document));

describe.each(documents.map((one, at) => [at, one.document, one] as const))("document %i, %s", (_, __, one) => {
  it("has the digest and the signer that Python and Solidity give it", async () => {
    const domain = { chainId: BigInt(one.chainId), market: one.verifyingContract };
    const signed = signedDocument(one.document, { document: one.message, signature: one.signature }, domain);
    expect(signed.digest).toBe(one.digest);
    expect(await isSignedBy(signed, one.signer)).toBe(true);
    expect(await isSignedBy(signed, "0x0000000000000000000000000000000000000001")).toBe(false);
  });
});

describe("a signature in another spelling", () => {
  const [one] = documents as [Document];
  const spelled = async (signature: string): Promise<boolean> => {
    const domain = { chainId: BigInt(one.chainId), market: one.verifyingContract };
    return isSignedBy(signedDocument(one.document, { document: one.message, signature }, domain), one.signer);
  };
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = BigInt(`0x${one.signature.slice(66, 130)}`);
  const v = Number.parseInt(one.signature.slice(130), 16);
  it.each([
    [
      "its s in the upper half",
      one.signature.slice(0, 66) + (order - s).toString(16).padStart(64, "0") + (55 - v).toString(16),
    ],
    ["its v counted from 0", one.signature.slice(0, 130) + (v - 27).toString(16).padStart(2, "0")],
    ["a byte more", `${one.signature}00`],
    ["nothing", "0x"],
    ["zeros", `0x${"00".repeat(64)}1b`],
  ])("%s", async (_, signature) => {
    expect(await spelled(one.signature)).toBe(true);
    expect(await spelled(signature)).toBe(false);
  });
});

it("builds the trees of RFC 9162", () => {
  const data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
  const leaves = data.map((text) => leafHash(Buffer.from(text, "hex")));
  const tree = new MerkleTree(leaves);
  // The roots of Certificate Transparency's own tests.
  expect(hex(tree.root(0))).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(hex(tree.root(1))).toBe("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  expect(hex(tree.root(2))).toBe("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
  expect(hex(tree.root(7))).toBe("ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c");
  expect(hex(tree.root(8))).toBe("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
  expect(hex(tree.root(6, leaves[6]))).toBe(hex(tree.root(7)));
});

it("finds the same roots in the kernels' memory", async () => {
  const kernels = await loadKernels();
  const address = kernels.allocate(20_000);
  const data = Uint8Array.from({ length: 20_000 }, (_, at) => (at * 7919) >> 3);
  kernels.bytes(address, data.length).set(data);
  for (const leaf of [1, 55, 62, 63, 64, 118, 119, 127, 128, 1024, 1152, 8192]) {
    for (const size of [1, leaf - 1, leaf, leaf + 1, 2 * leaf, 7 * leaf + 3, 64 * leaf].filter(
      (n) => n > 0 && n <= 20_000,
    )) {
      const expected = new MerkleTree(leafHashes(data.subarray(0, size), leaf)).root();
      expect(hex(kernels.treeRoot(address, size, leaf)), `${size} bytes in leaves of ${leaf}`).toBe(hex(expected));
    }
  }
});
