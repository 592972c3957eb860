// @vitest-environment node
import { expect, test } from "vitest";
import {
  NO_SETUP,
  changeAnswer,
  forked,
  newConversation,
  newTurn,
  shownAnswer,
  withAnswer,
  withQuestion,
  withShown,
  withTurn,
  type Answer,
  type Conversation,
} from "../../../src/pages/chat/kept/conversation";
import type { ChatModel } from "../../../src/pages/chat/models";
import { CONTINUED_TOKENS, drawnSeed, questionOf } from "../../../src/pages/chat/stream/question";

const model = (name: string, isChat = true): ChatModel => ({
  name,
  isChat,
  context: 512,
  version: `0x${"0".repeat(64)}`,
  weightsRoot: `0x${"1".repeat(64)}`,
  price: { weiPerToken: 2n, share: 0 },
  licence: "",
});

const answer = (name: string, text: string): Answer => ({
  key: `${name}-${text}`,
  model: name,
  version: `0x${"0".repeat(64)}`,
  question: { endpoint: "/v1/chat/completions", body: {} },
  text,
  state: "whole",
});

function talked(models: readonly string[], ...turns: [string, ...string[]][]): Conversation {
  let found = newConversation({ ...NO_SETUP, models });
  turns.forEach(([question, ...answers], at) => {
    found = withTurn(found, newTurn(question, models.length));
    answers.forEach((text, lane) => {
      found = withAnswer(found, at, lane, answer(models[lane] ?? "", text));
    });
  });
  return found;
}

test("a conversation is asked with what each model itself had said", () => {
  const conversation = talked(["a", "b"], ["1?", "a1", "b1"], ["2?", "a2", "b2"], ["3?"]);
  const { endpoint, body } = questionOf(conversation, 2, 1, model("b"), 7);
  expect(endpoint).toBe("/v1/chat/completions");
  expect(body["messages"]).toEqual([
    { role: "user", content: "1?" },
    { role: "assistant", content: "b1" },
    { role: "user", content: "2?" },
    { role: "assistant", content: "b2" },
    { role: "user", content: "3?" },
  ]);
  expect(body).toMatchObject({ model: "b", seed: 7, stream: true, temperature: 0.7 });
  expect(body).not.toHaveProperty("max_tokens");
  expect(body).not.toHaveProperty("stop");
});

test("a model whose place changed keeps its own answers; one that was not asked reads the first's", () => {
  const conversation = talked(["a", "b"], ["1?", "a1", "b1"], ["2?"]);
  const said = (name: string) => JSON.stringify(questionOf(conversation, 1, 0, model(name), 7).body["messages"]);
  expect(said("b")).toContain("b1");
  expect(said("c")).toContain("a1");
});

test("questions without an answer are left out: roles take turns", () => {
  const conversation = talked(["a"], ["1?", ""], ["2?"]);
  expect(questionOf(conversation, 1, 0, model("a"), 7).body["messages"]).toEqual([{ role: "user", content: "2?" }]);
});

test("a text is continued from all that stands before", () => {
  const conversation = talked(["a"], ["def f():\n", "    return 1\n"], ["def g():\n"]);
  const { endpoint, body } = questionOf(conversation, 1, 0, model("a", false), 7);
  expect(endpoint).toBe("/v1/completions");
  expect(body["prompt"]).toBe("def f():\n    return 1\ndef g():\n");
  expect(body["max_tokens"]).toBe(CONTINUED_TOKENS);
  expect(body).not.toHaveProperty("messages");
});

test("system prompt, number of tokens and stop texts are sent where somebody gave them", () => {
  const setup = { models: ["a"], system: "Be short.", sampling: { temperature: 0, maxTokens: 9, stop: ["\n"] } };
  const conversation = withTurn(newConversation(setup), newTurn("1?", 1));
  const { body } = questionOf(conversation, 0, 0, model("a"), 7);
  expect(body).toMatchObject({ temperature: 0, max_tokens: 9, stop: ["\n"] });
  expect((body["messages"] as unknown[])[0]).toEqual({ role: "system", content: "Be short." });
});

test("a drawn seed is a whole number that every reader of JSON holds", () => {
  const seeds = Array.from({ length: 50 }, drawnSeed);
  expect(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 31)).toBe(true);
  expect(new Set(seeds).size).toBeGreaterThan(45);
});

test("asking again keeps the answer before, and either can be shown", () => {
  const once = talked(["a"], ["1?", "first"]);
  const twice = withAnswer(once, 0, 0, answer("a", "second"));
  expect(shownAnswer(twice.turns[0]!, 0)?.text).toBe("second");
  expect(shownAnswer(withShown(twice, 0, 0, 0).turns[0]!, 0)?.text).toBe("first");
});

test("a question in other words lets go what was built on the old one; a fork leaves it where it is", () => {
  const conversation = talked(["a"], ["1?", "a1"], ["2?", "a2"], ["3?", "a3"]);
  expect(withQuestion(conversation, 1, "two?").turns.map(({ text }) => text)).toEqual(["1?", "two?"]);
  const fork = forked(conversation, 1);
  expect(fork.id).not.toBe(conversation.id);
  expect(fork.revision).toBe(0);
  expect(fork.turns).toEqual(conversation.turns.slice(0, 1));
});

test("a change of one answer leaves the other turns the same objects", () => {
  const conversation = talked(["a"], ["1?", "a1"], ["2?", "a2"]);
  const changed = changeAnswer(conversation, "a-a2", (one) => ({ ...one, text: "new" }));
  expect(changed.turns[0]).toBe(conversation.turns[0]);
  expect(shownAnswer(changed.turns[1]!, 0)?.text).toBe("new");
});
