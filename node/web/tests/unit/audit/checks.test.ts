import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { checkAnchor, checkBytes, checkSignature } from "../../../src/pages/audit/browser_checks";
import { readCertificate } from "../../../src/pages/audit/certificate";
import { cidOf, isCid } from "../../../src/pages/audit/checks/cid";
import { isIncluded, type RecordProof } from "../../../src/pages/audit/checks/inclusion";
import { signerOf } from "../../../src/pages/audit/checks/signature";

const VECTORS = resolve(import.meta.dirname, "../../../../../tests/vectors");
const page = JSON.parse(readFileSync(resolve(VECTORS, "page.json"), "utf8")) as {
  certificate: { document: string; cid: string; signer: string };
  inclusions: RecordProof[];
};
const document = new TextEncoder().encode(page.certificate.document);
const read = readCertificate(document)!;

interface CidVector {
  readonly text?: string;
  readonly size: number;
  readonly chunk_bytes: number;
  readonly cid: string;
}

describe("a CID", () => {
  const vectors = readFileSync(resolve(VECTORS, "cid.jsonl"), "utf8").trim().split("\n");
  it.each(vectors.map((line) => JSON.parse(line) as CidVector).filter((one) => one.size < 2 ** 22))(
    "of $size bytes in chunks of $chunk_bytes is what other importers find",
    ({ text, size, chunk_bytes, cid }) => {
      const data = text ? new TextEncoder().encode(text) : Uint8Array.from({ length: size }, (_, i) => i % 251);
      expect(cidOf(data, chunk_bytes)).toBe(cid);
      expect(isCid(cid)).toBe(true);
    },
  );

  it.each(["", "bafkrei", "Qm" + "a".repeat(44), "bafkrei" + "1".repeat(52), "bafkrei" + "a".repeat(53)])(
    "is not %s",
    (text) => expect(isCid(text)).toBe(false),
  );
});

describe("a certificate", () => {
  it("has the address and the signer that Python finds", async () => {
    expect(checkBytes(page.certificate.cid, document)).toMatchObject({ verdict: "right", found: page.certificate.cid });
    expect(await signerOf(document)).toBe(page.certificate.signer);
    expect(await checkSignature(document, read)).toMatchObject({ verdict: "right", found: page.certificate.signer });
  });

  it("with one changed character is neither of that address nor signed by its publisher", async () => {
    const changed = new TextEncoder().encode(page.certificate.document.replace('"accuracy":"0.2"', '"accuracy":"0.9"'));
    expect(changed).not.toEqual(document);
    expect(checkBytes(page.certificate.cid, changed).verdict).toBe("wrong");
    expect((await checkSignature(changed, readCertificate(changed))).verdict).toBe("wrong");
  });

  it.each(["", "{}", "[]", '{"certificate":{}}', '{"certificate":{},"signature":"0x00"}', "\u0000", "null"])(
    "is not %j",
    async (text) => {
      const data = new TextEncoder().encode(text);
      expect(readCertificate(data)).toBeUndefined();
      expect(await checkSignature(data, readCertificate(data))).toMatchObject({ verdict: "wrong" });
      expect(await signerOf(data)).toBeUndefined();
    },
  );

  it("with a signature that nobody can have made is signed by nobody", async () => {
    const text = page.certificate.document.replace(/"signature":"0x[0-9a-f]+"/, `"signature":"0x${"f".repeat(130)}"`);
    expect(await signerOf(new TextEncoder().encode(text))).toBeUndefined();
  });
});

describe("an inclusion proof", () => {
  it.each(page.inclusions)("of record $index of $size holds, and none that was changed does", (proof) => {
    const { root, size } = proof;
    expect(isIncluded(proof, root, size)).toBe(true);
    expect(isIncluded({ ...proof, record: `${proof.record} ` }, root, size)).toBe(false);
    expect(isIncluded(proof, `0x${"0".repeat(64)}`, size)).toBe(false);
    expect(isIncluded(proof, root, size + 1)).toBe(false);
    expect(isIncluded({ ...proof, index: size }, root, size)).toBe(false);
    expect(isIncluded({ ...proof, index: -1 }, root, size)).toBe(false);
    expect(isIncluded({ ...proof, siblings: [...proof.siblings, root] }, root, size)).toBe(false);
    if (size > 1) {
      expect(isIncluded({ ...proof, siblings: proof.siblings.slice(1) }, root, size)).toBe(false);
      expect(isIncluded({ ...proof, index: (proof.index + 1) % size }, root, size)).toBe(false);
    }
  });
});

describe("the anchor", () => {
  const registry = { chain_id: 31337, certificate_registry: "0x5FbDB2315678afecb367f032d93F642f64180aa3" };
  const answering = (cid: string, at: bigint) => ({
    chainId: 31337,
    ask: async (method: string, params: readonly unknown[]) => {
      expect(method).toBe("eth_call");
      expect(params[0]).toMatchObject({ to: registry.certificate_registry });
      const { encodeAbiParameters } = await import("viem");
      const tuple = [
        { type: "tuple", components: [{ type: "string" }, { type: "bytes32" }, { type: "uint64" }] },
      ] as const;
      return encodeAbiParameters(tuple, [[cid, `0x${"ab".repeat(32)}`, at]]);
    },
  });
  const { cid } = page.certificate;

  it("is this certificate's, another's, or nobody's, by the reader's own chain", async () => {
    expect(await checkAnchor(cid, read, registry, answering(cid, 5n))).toMatchObject({ verdict: "right" });
    expect(await checkAnchor(cid, read, registry, answering("bafkreiother", 5n))).toMatchObject({ verdict: "wrong" });
    expect(await checkAnchor(cid, read, registry, answering("", 0n))).toMatchObject({
      verdict: "wrong",
      why: "notAnchored",
    });
  });

  it("is open without a wallet, on another chain, and where the chain does not answer", async () => {
    expect(await checkAnchor(cid, read, registry, undefined)).toMatchObject({ verdict: "open", why: "noWallet" });
    const elsewhere = { ...answering(cid, 5n), chainId: 1 };
    expect(await checkAnchor(cid, read, registry, elsewhere)).toMatchObject({ verdict: "open", why: "otherChain" });
    const empty = { chainId: 31337, ask: async () => "0x" };
    expect(await checkAnchor(cid, read, registry, empty)).toMatchObject({ verdict: "open", why: "failed" });
  });
});
