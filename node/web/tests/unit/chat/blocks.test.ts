// @vitest-environment node
import { expect, test } from "vitest";
import { BlockReader, MOST_CHARACTERS, blocksOf, codeOf, type Block } from "../../../src/pages/chat/text/blocks";

/** One half of a character that has two. */
const HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function sourceOf(block: Block): string {
  return block.kind === "code" ? codeOf(block) : block.source;
}

const ANSWER = [
  "# Sort\n\nTwo ways:\n\n1. quick\n\n2. merge\n   goes on\n\n   still the second\n\nThen:\n",
  "```py\ndef f():\n\n    return 1\n```\nand\n~~~\n```\n~~~\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted\n\n",
  "- 😀 one\n\n- two\n\n  ```js\n  x()\n  ```\nlast **word**",
].join("");

test("paragraphs, lists and code are blocks; a list with blank lines is one", () => {
  const blocks = blocksOf(ANSWER);
  expect(blocks.map(({ kind }) => kind).join(" ")).toBe(
    "prose prose prose prose code prose code prose prose prose code prose",
  );
  expect(sourceOf(blocks[2]!)).toBe("1. quick\n\n2. merge\n   goes on\n\n   still the second\n\n");
  expect(blocks[4]).toMatchObject({ language: "py", pieces: ["def f():\n\n    return 1\n"], isClosed: true });
  expect(sourceOf(blocks[6]!)).toBe("```\n");
  expect(sourceOf(blocks[10]!)).toBe("x()\n");
});

test("how a text was cut on its way changes nothing", () => {
  const text = ANSWER + "x".repeat(MOST_CHARACTERS - 1) + "😀" + "y".repeat(9000) + "\n```\n" + "z".repeat(9000);
  const whole = blocksOf(text);
  const characters = [...text];
  for (let seed = 1; seed <= 40; seed++) {
    const reader = new BlockReader();
    let state = seed;
    for (let at = 0; at < characters.length;) {
      state = (state * 48271) % 2147483647;
      const length = 1 + (state % (seed < 20 ? 7 : 3000));
      reader.append(characters.slice(at, at + length).join(""));
      at += length;
    }
    expect(reader.blocks()).toEqual(whole);
  }
});

test("finished blocks are the same objects for ever, and every piece of code but the last", () => {
  const reader = new BlockReader();
  reader.append("one\n\ntwo\n\n```\n" + "line\n".repeat(100));
  const before = reader.blocks();
  reader.append("more\n".repeat(100) + "```\nend");
  const after = reader.blocks();
  expect(after[0]).toBe(before[0]);
  expect(after[1]).toBe(before[1]);
  const pieces = (block: Block | undefined) => (block?.kind === "code" ? block.pieces : []);
  expect(pieces(after[2]).slice(0, 1)).toEqual(pieces(before[2]).slice(0, 1));
  expect(pieces(after[2]).length).toBeGreaterThan(3);
});

test("nothing is drawn again that is longer than a block may be, however the text is made", () => {
  const hostile = ["x".repeat(100_000), "word ".repeat(20_000), "- a\n\n".repeat(20_000), "a\n".repeat(50_000)];
  for (const text of [...hostile, "```\n" + "x".repeat(100_000), "```\n" + "x\n".repeat(50_000)]) {
    const blocks = blocksOf(text);
    const parts = blocks.flatMap((block) => (block.kind === "code" ? block.pieces : [block.source]));
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(2 * MOST_CHARACTERS);
    expect(parts.join("")).toBe(text.replace(/^```\n/, ""));
  }
});

test("a cut never parts the two halves of a character", () => {
  const text = "x".repeat(MOST_CHARACTERS - 1) + "😀".repeat(5000);
  for (const block of blocksOf(text)) expect(sourceOf(block)).not.toMatch(HALF);
});

test("code that is not closed yet is code already", () => {
  const [block] = blocksOf("```python\nprint(1)");
  expect(block).toEqual({ kind: "code", language: "python", pieces: ["print(1)"], isClosed: false });
});

test("a text that is continued has no blocks of Markdown", () => {
  const text = "```\n# no heading\n```\n\ntext";
  const blocks = blocksOf(text, true);
  expect(blocks).toHaveLength(1);
  expect(sourceOf(blocks[0]!)).toBe(text);
});
