// @vitest-environment node
import { expect, test } from "vitest";
import { MOST_A_FRAME, Pace } from "../../../src/pages/chat/stream/pace";

/** One half of a character that has two. */
const HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function screen(isSeen = true) {
  const shown: string[] = [];
  const frames: (() => void)[] = [];
  const pace = new Pace(
    (text) => shown.push(text),
    (drawn) => frames.push(drawn),
    () => isSeen,
  );
  return { pace, shown, frames, draw: () => frames.splice(0).forEach((frame) => frame()) };
}

test("the first piece is shown at once, the others once a frame", () => {
  const { pace, shown, frames, draw } = screen();
  pace.push("a");
  expect(shown).toEqual(["a"]);
  for (const piece of "bcd") pace.push(piece);
  expect(shown).toEqual(["a"]);
  expect(frames).toHaveLength(1);
  draw();
  expect(shown).toEqual(["a", "bcd"]);
});

test("10 000 tokens at once are spread over frames, and arrive whole", async () => {
  const { pace, shown, draw } = screen();
  const tokens = Array.from({ length: 10_000 }, (_, at) => `token${at} `);
  for (const token of tokens) pace.push(token);
  let isDone = false;
  const drained = pace.drained().then(() => (isDone = true));
  for (let frame = 0; frame < 100 && shown.join("").length < tokens.join("").length; frame++) draw();
  await drained;
  expect(isDone).toBe(true);
  expect(shown.join("")).toBe(tokens.join(""));
  expect(Math.max(...shown.map(({ length }) => length))).toBeLessThanOrEqual(MOST_A_FRAME);
});

test("no frame gets half a character", () => {
  const { pace, shown, draw } = screen();
  pace.push("a");
  pace.push("x".repeat(MOST_A_FRAME - 1) + "😀😀");
  draw();
  draw();
  for (const text of shown) expect(text).not.toMatch(HALF);
  expect(shown.join("")).toBe("a" + "x".repeat(MOST_A_FRAME - 1) + "😀😀");
});

test("a page that nobody sees gets everything at once", () => {
  const { pace, shown } = screen(false);
  pace.push("x".repeat(3 * MOST_A_FRAME));
  expect(shown[0]).toHaveLength(3 * MOST_A_FRAME);
});

test("nothing to show is drained already", async () => {
  await screen().pace.drained();
});
