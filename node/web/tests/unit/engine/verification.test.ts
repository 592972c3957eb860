// @vitest-environment node
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";

import { GatewayError } from "../../../src/api/gateway";
import { parseAnswerFile } from "../../../src/engine/answer_file";
import { UnjudgeableError } from "../../../src/engine/errors";
import { GatewaySource } from "../../../src/engine/gateway_source";
import { LARGEST_WEIGHTS, type ModelSource } from "../../../src/engine/loaded_model";
import { parseListing, type ModelListing } from "../../../src/engine/model_version";
import { Verifier } from "../../../src/engine/verification";
import { vectors, type StoredModel } from "./vectors";

const stored = vectors<StoredModel & { readonly answers: any[] }>("web_answers");
const WASM = new URL("../../../src/engine/engine.wasm", import.meta.url);
const byName = (lie: string): any => stored.answers.find((one) => one.lie === lie);
const honest = byName("none").proof;

/** A tokenizer that writes token n as the nth printable character. */
const vocab = Object.fromEntries(Array.from({ length: 70 }, (_, at) => [String.fromCharCode(0x21 + at), at]));
const tokenizer = JSON.stringify({ decoder: { type: "ByteLevel" }, model: { vocab }, added_tokens: [] });
const textOf = (proof: any): string =>
  proof.tokens
    .slice(proof.promptLength)
    .map((token: number) => String.fromCharCode(0x21 + token))
    .join("");

/** The model of the vectors, of which one thing may be another. */
function sourceOf(change: { files?: Record<string, Uint8Array>; listing?: Partial<ModelListing> } = {}) {
  const files: Record<string, Uint8Array> = {
    "program.json": Buffer.from(stored.program),
    "weights.safetensors": Buffer.from(stored.weights, "base64"),
    "tokenizer.json": Buffer.from(tokenizer),
    ...change.files,
  };
  const listed = Object.entries(files).map(([name, data]) => [name, { name, size: data.length, sha256: "" }] as const);
  const fetched: string[] = [];
  const source: ModelSource = {
    listing: () =>
      Promise.resolve({
        id: honest.order.document.modelVersion,
        weightsRoot: `0x${stored.weightsRoot}`,
        programRoot: `0x${stored.programRoot}`,
        tokenizerHash: `0x${createHash("sha256").update(tokenizer).digest("hex")}`,
        files: new Map(listed),
        ...change.listing,
      }),
    file: (name, progress) => {
      fetched.push(name);
      progress(files[name]!.length);
      return Promise.resolve(files[name]!);
    },
    kernels: () => Promise.resolve(readFileSync(WASM)),
  };
  return { source, fetched };
}

function evidenceOf(proof: unknown, text = textOf(proof)) {
  return { proof, text, stops: [] };
}

describe("a verdict", () => {
  it("is right for what was shown, and says what was judged", async () => {
    const seen: [number, number][] = [];
    const verifier = new Verifier();
    const { source, fetched } = sourceOf();
    const verdict = await verifier.verify(evidenceOf(honest), source, (done, total) => seen.push([done, total]));
    expect(verdict).toMatchObject({
      outcome: "right",
      weightsRoot: `0x${stored.weightsRoot}`,
      modelVersion: honest.order.document.modelVersion,
      prompt: '$"%"&',
      tokens: honest.tokens.length,
    });
    expect(verdict.steps!.map(({ number, passed }) => [number, passed])).toEqual(
      [1, 2, 3, 4, 5, 6].map((n) => [n, true]),
    );
    expect(seen.every(([done], at) => at === 0 || done >= seen[at - 1]![0])).toBe(true);
    expect(seen.at(-1)![0]).toBeCloseTo(seen.at(-1)![1]);
    expect(new Set(seen.map(([, total]) => total)).size).toBe(1);
    expect((await verifier.verify(evidenceOf(honest), source, () => undefined)).outcome).toBe("right");
    expect(fetched).toHaveLength(3);
  });

  it("names the text that was not the one judged", async () => {
    const verdict = await new Verifier().verify(
      evidenceOf(honest, `${textOf(honest)}!`),
      sourceOf().source,
      () => undefined,
    );
    expect(verdict).toMatchObject({ outcome: "wrong", reason: expect.stringContaining("differs") });
    expect(verdict.fault).toBeUndefined();
  });

  it("believes the chain's keys before the file's", async () => {
    const keys = Object.fromEntries(Object.keys(honest.receiptKeys).map((node) => [node, honest.signer]));
    const evidence = { ...evidenceOf(honest), receiptKeys: keys };
    const verdict = await new Verifier().verify(evidence, sourceOf().source, () => undefined);
    expect(verdict).toMatchObject({
      outcome: "wrong",
      reason: expect.stringContaining("receipts: this Receipt was signed"),
    });
    const liar = byName("a node alters an element").proof;
    const forged = await new Verifier().verify(
      { ...evidenceOf(liar), receiptKeys: keys },
      sourceOf().source,
      () => undefined,
    );
    expect(forged.outcome).toBe("wrong");
    expect(forged.fault).toBeUndefined();
  });
});

it("names node, layers and place of each of a hundred lies", { timeout: 120_000 }, async () => {
  const verifier = new Verifier();
  const lies = stored.answers.filter((one) => one.accusations.length > 0);
  expect(lies.length).toBe(100);
  let exact = 0;
  for (const { proof, place, accusations, fragments } of lies) {
    const { outcome, fault } = await verifier.verify(evidenceOf(proof), sourceOf().source, () => undefined);
    const [node, segment] = accusations[0];
    const { layerStart, layerEnd } = proof.order.document.asks[segment];
    expect(outcome).toBe("wrong");
    expect(fault).toMatchObject({ node, layers: [layerStart, layerEnd] });
    expect(segment).toBe(place?.segment ?? segment);
    if (place && fault!.isExact) expect(fault!.position).toBe(place.position);
    if (place && !fault!.isExact) expect(fault!.position).toBeLessThanOrEqual(place.position);
    expect(fault!.isExact).toBe(fragments.some((one: any) => one.to_blame && one.exact));
    if (fault!.isExact) exact++;
  }
  expect(exact).toBeGreaterThan(60);
});

describe("nothing is verified", () => {
  const unknown: [string, Parameters<typeof sourceOf>[0], RegExp][] = [
    ["with another version's files", { listing: { id: `0x${"01".repeat(32)}` } }, /another model version/],
    ["with other weights", { listing: { weightsRoot: `0x${"01".repeat(32)}` } }, /weights .* not what its version/],
    ["with another program", { listing: { programRoot: `0x${"01".repeat(32)}` } }, /program .* not what its version/],
    ["with another tokenizer", { files: { "tokenizer.json": Buffer.from("{}") } }, /tokenizer .* not what its version/],
    ["with weights that are no file", { files: { "weights.safetensors": Buffer.from("no") } }, /safetensors/],
    [
      "with weights that are too large",
      {
        listing: {
          files: new Map(
            ["program.json", "tokenizer.json", "weights.safetensors"].map((name) => [
              name,
              { name, size: LARGEST_WEIGHTS + 1, sha256: "" },
            ]),
          ),
        },
      },
      /nexus verify/,
    ],
    ["without weights", { listing: { files: new Map() } }, /nexus verify/],
  ];
  it.each(unknown)("%s", async (_, change, reason) => {
    const verdict = await new Verifier().verify(evidenceOf(honest), sourceOf(change).source, () => undefined);
    expect(verdict).toMatchObject({ outcome: "unknown", reason: expect.stringMatching(reason) });
  });

  it("of what is no answer file", async () => {
    const verdict = await new Verifier().verify({ proof: {}, text: "", stops: [] }, sourceOf().source, () => undefined);
    expect(verdict).toMatchObject({ outcome: "unknown", reason: expect.stringContaining("answer file") });
  });

  it("as right where the tokenizer is not understood, but a lie is still one", async () => {
    const other = JSON.stringify({ decoder: { type: "Metaspace" }, model: { vocab } });
    const change = {
      files: { "tokenizer.json": Buffer.from(other) },
      listing: { tokenizerHash: `0x${createHash("sha256").update(other).digest("hex")}` as const },
    };
    const verifier = new Verifier();
    const verdict = await verifier.verify(evidenceOf(honest), sourceOf(change).source, () => undefined);
    expect(verdict).toMatchObject({ outcome: "unknown", reason: expect.stringContaining("nexus verify") });
    const liar = byName("a node alters an element").proof;
    expect((await verifier.verify(evidenceOf(liar), sourceOf(change).source, () => undefined)).outcome).toBe("wrong");
  });
});

describe("what the gateway sends", () => {
  const listing = {
    publisher: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    version: {
      weights_root: `0x${"01".repeat(32)}`,
      program_root: `0x${"02".repeat(32)}`,
      tokenizer_hash: `0x${"03".repeat(32)}`,
      parent: `0x${"04".repeat(32)}`,
      price_per_token: String(10n ** 20n),
      layers: 6,
      semver: [1, 2, 3],
      manifest_cid: "bafk",
    },
    data: [{ name: "program.json", size: 4, sha256: "0xab" }],
  };
  afterEach(() => vi.unstubAllGlobals());

  it("gives the version the id that the contract gives it", () => {
    expect(parseListing(listing).id).toBe("0x2a70282c9fcfb21d6e0a150fa78a829430b79703b9eb03c18c1e8a6c34c3cbde");
    for (const broken of [
      null,
      {},
      { ...listing, publisher: "0x1" },
      { ...listing, data: [{ name: "a", size: -1 }] },
    ]) {
      expect(() => parseListing(broken)).toThrow(UnjudgeableError);
    }
  });

  /** A gateway that answers each address with what `answers` has for it. */
  function gateway(answers: Record<string, () => Response>): string[] {
    const seen: string[] = [];
    vi.stubGlobal("fetch", (address: string, asked: RequestInit) => {
      expect(asked).toMatchObject({ credentials: "omit", redirect: "error" });
      expect(asked.headers).toBeUndefined();
      seen.push(address);
      return Promise.resolve(answers[address]!());
    });
    return seen;
  }

  const LIST = "/v1/models/group/a%20b/files";
  const FILE = `${LIST}/program.json?sha256=0xab`;

  it("is taken whole, at the length that it said", async () => {
    for (const [text, problem] of [["abcd"], ["abc", /shorter/], ["abcde", /longer/]] as [string, RegExp?][]) {
      gateway({ [LIST]: () => Response.json(listing), [FILE]: () => new Response(text) });
      const source = new GatewaySource("group/a b", "engine.wasm");
      await source.listing();
      const found = source.file("program.json", () => undefined);
      if (problem) await expect(found).rejects.toThrow(problem);
      else expect(Buffer.from(await found).toString()).toBe(text);
    }
  });

  it("is an error of the gateway, or its word that it has no files", async () => {
    const refusal = (status: number) => () => Response.json({ error: { message: "not now", code: "x" } }, { status });
    gateway({ [LIST]: refusal(503) });
    await expect(new GatewaySource("group/a b", "").listing()).rejects.toThrow(GatewayError);
    gateway({ [LIST]: refusal(404) });
    await expect(new GatewaySource("group/a b", "").listing()).rejects.toThrow(UnjudgeableError);
    gateway({ [LIST]: () => new Response("<html>") });
    await expect(new GatewaySource("group/a b", "").listing()).rejects.toThrow(UnjudgeableError);
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await expect(new GatewaySource("group/a b", "").listing()).rejects.toThrow(/cannot be reached/);
  });
});

it("takes no more tokens than a context can have", () => {
  expect(() => parseAnswerFile({ ...honest, tokens: Array(20_000).fill(1) })).toThrow(UnjudgeableError);
});
