// @vitest-environment node
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { byteLevelCodec, textDifference } from "../../../src/engine/text";
import { vectors } from "./vectors";

const FILE = new URL("../../../../../nexus_chain/models/python-stdlib/tokenizer.json", import.meta.url);
const tokenizer = readFileSync(FILE, "utf8");
const texts = vectors<{ tokens: number[]; decoded: string; written: string }[]>("web_texts");

describe("the shipped model's tokenizer", () => {
  it("writes tokens as the tokenizers library does", () => {
    const codec = byteLevelCodec(tokenizer)!;
    for (const { tokens, decoded, written } of texts) {
      expect(codec.decode(tokens)).toBe(decoded);
      expect(codec.written(tokens)).toBe(written);
    }
  });

  it("writes nothing for ids that it has not", () => {
    expect(byteLevelCodec(tokenizer)!.decode([-1, 4096, 2 ** 31 - 1])).toBe("");
  });
});

describe("a tokenizer that is not understood", () => {
  const changed = (change: (found: any) => void): string => {
    const found = JSON.parse(tokenizer);
    change(found);
    return JSON.stringify(found);
  };
  it.each([
    ["another decoder", changed((t) => (t.decoder = { type: "Metaspace", replacement: "_" }))],
    ["bytes and more", changed((t) => (t.decoder = { type: "Sequence", decoders: [t.decoder, { type: "Strip" }] }))],
    ["no decoder", changed((t) => (t.decoder = null))],
    ["no vocabulary", changed((t) => delete t.model)],
    ["no JSON", "{"],
    ["no object", "null"],
  ])("%s", (_, text) => {
    expect(byteLevelCodec(text)).toBeUndefined();
  });

  it("is understood where bytes are the only step of a sequence", () => {
    const sequence = changed((t) => (t.decoder = { type: "Sequence", decoders: [t.decoder] }));
    expect(byteLevelCodec(sequence)).toBeDefined();
  });
});

describe("the text that was shown", () => {
  it.each([
    ["abc", "abc", [], undefined],
    ["abc", "abd", [], 2],
    ["abc", "ab", [], 2],
    ["abc", "abcd", [], 3],
    ["abc", "", [], 0],
    ["abSTOPc", "ab", ["STOP"], undefined],
    ["abSTOPc", "abSTOPc", ["STOP"], 2],
    ["aEbSTOPc", "a", ["STOP", "E"], undefined],
    ["abc", "abc", ["x"], undefined],
  ] as const)("%j shown as %j, ended by %j", (judged, shown, stops, at) => {
    const found = textDifference(judged, shown, stops);
    if (at === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(`character ${at} `);
  });
});
