import { expect, test } from "vitest";
import { isApiKey } from "../../../src/pages/chat/credentials/credentials_panel";
import { parsedSampling, typedSampling } from "../../../src/pages/chat/setup/parsed";
import { sentencesOf } from "../../../src/pages/chat/trouble";

const TYPED = { temperature: "0,7", seed: "", maxTokens: "", stop: "" };

test("a sampling that was typed is taken, and shown again as it was meant", () => {
  expect(parsedSampling(TYPED)).toEqual({ sampling: { temperature: 0.7, stop: [] } });
  const all = { temperature: "2", seed: "0", maxTokens: "1", stop: "a\n\nb" };
  const found = parsedSampling(all);
  expect(found).toEqual({ sampling: { temperature: 2, seed: 0, maxTokens: 1, stop: ["a", "b"] } });
  if ("sampling" in found) expect(typedSampling(found.sampling)).toEqual({ ...all, stop: "a\nb" });
});

test.each([
  ["temperature", "2.1"],
  ["temperature", "-1"],
  ["temperature", ""],
  ["temperature", "warm"],
  ["temperature", "1e0"],
  ["seed", "1.5"],
  ["seed", "-1"],
  ["seed", "9007199254740992"],
  ["maxTokens", "0"],
  ["maxTokens", "many"],
  ["stop", "a\nb\nc\nd\ne"],
] as const)("%s %j is not taken", (field, text) => {
  expect(parsedSampling({ ...TYPED, [field]: text })).toEqual({ wrong: [field] });
});

test("a key that no header can hold is no key", () => {
  expect(isApiKey("sk-nexus-abc")).toBe(true);
  for (const text of ["", "two words", "ключ", "a\nb", "x".repeat(513)]) expect(isApiKey(text)).toBe(false);
});

test.each([
  [401, "invalid_api_key", /does not know this key/, /another key/],
  [402, "insufficient_quota", /credit/, /Top up/],
  [403, "permission_denied", /may not/, /scope/],
  [429, "rate_limit_exceeded", /limit/, /in 7 s/],
  [502, "answer_withheld", /answered wrongly/, /other nodes/],
  [503, "service_unavailable", /is away/, /7 s/],
  [400, "context_length_exceeded", /context/, /new conversation/],
  [400, "invalid_request", /refused/, /Ask again/],
  [0, "unreachable", /cannot be reached/, /Ask again/],
  [0, "broken_off", /in the middle/, /Ask again/],
  [0, "left", /closed/, /Ask again/],
])("status %d (%s) is said in words, with what to do", (status, code, what, advice) => {
  const [said, todo] = sentencesOf({ status, code, message: "" }, 7);
  expect(said).toMatch(what);
  expect(todo).toMatch(advice);
});
