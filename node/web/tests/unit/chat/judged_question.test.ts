import { describe, expect, test } from "vitest";
import { isQuestionOf, stopsOf } from "../../../src/pages/chat/evidence/judged_question";
import type { Question } from "../../../src/pages/chat/stream/answer_stream";

const text = (prompt: string): Question => ({ endpoint: "/v1/completions", body: { prompt } });
const talk = (...contents: string[]): Question => ({
  endpoint: "/v1/chat/completions",
  body: { messages: contents.map((content) => ({ role: "user", content })) },
});
const WRITTEN = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n";

describe("the question that was judged", () => {
  test.each([
    ["def f():", "def f():", true],
    ["<s>def f():", "def f():", true],
    ["<|begin_of_text|>def f():", "def f():", true],
    ["<s>Lie. def f():", "def f():", false],
    ["Lie. def f():", "def f():", false],
    ["def f():", "def f(): ", false],
    ["def f", "def f():", false],
    ["", "def f():", false],
  ])("%j is what was sent as %j: %s", (prompt, sent, is) => {
    expect(isQuestionOf(prompt, text(sent))).toBe(is);
  });

  test.each([
    [["Be brief.", "Why?"], true],
    [[" Be brief. ", "Why?\n"], true],
    [["Why?", "Be brief."], false],
    [["Be brief.", "Why not?"], false],
    [["Why?", "Why?"], false],
  ])("messages %j stand in a conversation: %s", (contents, is) => {
    expect(isQuestionOf(WRITTEN, talk(...contents))).toBe(is);
  });

  test("a request without a prompt asks nothing that a text could be", () => {
    expect(isQuestionOf("x", { endpoint: "/v1/completions", body: {} })).toBe(false);
  });

  test("texts that end an answer are those of the request", () => {
    expect(stopsOf({ endpoint: "/v1/completions", body: { stop: ["a", 1, "b"] } })).toEqual(["a", "b"]);
    expect(stopsOf({ endpoint: "/v1/completions", body: { stop: "a" } })).toEqual(["a"]);
    expect(stopsOf(text("x"))).toEqual([]);
  });
});
