// @vitest-environment node
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test, vi } from "vitest";
import { DamagedError, checkedConversation } from "../../../src/pages/chat/kept/checked";
import {
  NO_SETUP,
  newConversation,
  newTurn,
  withAnswer,
  withTurn,
  type Answer,
  type Conversation,
} from "../../../src/pages/chat/kept/conversation";
import { ConversationStore } from "../../../src/pages/chat/kept/conversation_store";
import { browserShelf, fleetingShelf, type Shelf } from "../../../src/pages/chat/kept/shelf";

const HASH = `0x${"ab".repeat(32)}`;

beforeEach(() => vi.stubGlobal("indexedDB", new IDBFactory()));

const ANSWER: Answer = {
  key: "k",
  model: "m",
  version: HASH,
  question: { endpoint: "/v1/chat/completions", body: { model: "m", messages: [] } },
  text: "Olá 한국",
  state: "whole",
  id: "0".repeat(32),
  finish: "stop",
  usage: { prompt: 3, answer: 2 },
  evidence: {
    costWei: "92000000000000000001",
    nodesWei: "1",
    vaultWei: "1",
    gatewayWei: "0",
    mostWei: "5",
    audits: 0,
    order: HASH,
    session: HASH,
    version: HASH,
    receipts: 1,
    failovers: 0,
    promptTokens: 3,
    answerTokens: 2,
    route: [{ layers: [0, 2], nodes: [{ node: `0x${"1".repeat(40)}`, receipts: 1, priceWei: "2" }] }],
  },
};

function asked(text: string, changed = 1): Conversation {
  const turn = newTurn(text, 1);
  return withAnswer(withTurn(newConversation({ ...NO_SETUP, models: ["m"] }, changed), turn), 0, 0, ANSWER);
}

const shelves: [string, () => Promise<Shelf>][] = [
  ["the browser's database", browserShelf],
  ["memory", async () => fleetingShelf()],
];

test.each(shelves)("what is kept in %s is read again as it was", async (_, shelf) => {
  const store = new ConversationStore(await shelf());
  const conversation = asked("What is 2 + 2?");
  expect(await store.save(conversation)).toEqual({ kind: "kept", revision: 1 });
  expect(await store.load(conversation.id)).toEqual({ ...conversation, revision: 1 });
  expect((await store.list()).heads.map(({ title }) => title)).toEqual(["What is 2 + 2?"]);
  await store.remove(conversation.id);
  expect(await store.load(conversation.id)).toBeUndefined();
  expect(await store.list()).toEqual({ heads: [], damaged: 0 });
});

test.each(shelves)("two tabs do not overwrite each other in %s", async (_, shelf) => {
  const place = await shelf();
  const [mine, other] = [new ConversationStore(place), new ConversationStore(place)];
  const conversation = asked("first");
  await mine.save(conversation);
  const theirs = await other.load(conversation.id);
  expect(await other.save(withTurn(theirs!, newTurn("theirs", 1)))).toEqual({ kind: "kept", revision: 2 });
  const late = withTurn({ ...conversation, revision: 1 }, newTurn("mine", 1));
  expect(await mine.save(late)).toEqual({ kind: "elsewhere" });
  expect((await mine.load(conversation.id))?.turns.map(({ text }) => text)).toEqual(["first", "theirs"]);
});

test.each(shelves)("of more than the most the oldest go from %s, and never the one that is kept", async (_, shelf) => {
  const store = new ConversationStore(await shelf(), 3);
  for (let day = 1; day <= 5; day++) await store.save(asked(`day ${day}`, day));
  expect((await store.list()).heads.map(({ title }) => title)).toEqual(["day 5", "day 4", "day 3"]);
  await store.save(asked("an old one", 0));
  expect((await store.list()).heads.map(({ title }) => title)).toEqual(["day 5", "day 4", "an old one"]);
});

test("a conversation that is too long is not kept, and what was kept before stays", async () => {
  const store = new ConversationStore(fleetingShelf(), 10, 5000);
  const conversation = asked("short");
  await store.save(conversation);
  const long = withTurn({ ...conversation, revision: 1 }, newTurn("x".repeat(5000), 1));
  expect(await store.save(long)).toEqual({ kind: "full" });
  expect((await store.load(conversation.id))?.turns).toHaveLength(1);
});

test("a browser without room says so", async () => {
  const full: Shelf = { ...fleetingShelf(), put: () => Promise.reject(new DOMException("", "QuotaExceededError")) };
  expect(await new ConversationStore(full).save(asked("x"))).toEqual({ kind: "full" });
});

test("a shelf that cannot be read is an empty list with a word", async () => {
  const broken: Shelf = { ...fleetingShelf(), heads: () => Promise.reject(new Error("disk")) };
  expect(await new ConversationStore(broken).list()).toEqual({ heads: [], damaged: 1 });
});

test("entries that are none are counted, and the others listed", async () => {
  const place = await browserShelf();
  const store = new ConversationStore(place);
  await store.save(asked("whole"));
  for (const head of [
    { id: "broken", title: 5 },
    { id: "b2", title: "x", changed: "never" },
  ]) {
    await place.put(head as never, { format: 9 }, 0, 10);
  }
  const listed = await store.list();
  expect(listed.heads.map(({ title }) => title)).toEqual(["whole"]);
  expect(listed.damaged).toBe(2);
  await expect(store.load("broken")).rejects.toThrow(DamagedError);
});

test("a conversation under another's name is damaged", async () => {
  const place = fleetingShelf();
  const conversation = asked("x");
  await place.put({ id: "a", title: "", created: 0, changed: 0, revision: 1 }, conversation, 0, 10);
  await expect(new ConversationStore(place).load("a")).rejects.toThrow(DamagedError);
});

/** Every way to put something else in one place of a value. */
function* damaged(value: unknown): Generator<unknown> {
  for (const other of [null, 7, "<img>", [], {}, Number.NaN]) yield other;
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    for (const other of damaged(inner)) {
      const copy: unknown = Array.isArray(value) ? [...value] : { ...value };
      (copy as Record<string, unknown>)[key] = other;
      yield copy;
    }
  }
}

test("whatever lies there is a whole conversation, or DamagedError: nothing else", () => {
  const conversation = asked("x");
  let refused = 0;
  for (const one of damaged(conversation)) {
    try {
      const found = checkedConversation(one);
      expect(JSON.parse(JSON.stringify(checkedConversation(found)))).toEqual(JSON.parse(JSON.stringify(found)));
    } catch (error) {
      expect(error).toBeInstanceOf(DamagedError);
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(200);
});

test("an answer that was coming when it was kept is one that broke off", () => {
  const conversation = asked("x");
  const turn = conversation.turns[0]!;
  const coming = {
    ...conversation,
    turns: [{ ...turn, lanes: [{ answers: [{ ...ANSWER, state: "coming" }], shown: 0 }] }],
  };
  const answer = checkedConversation(coming).turns[0]?.lanes[0]?.answers[0];
  expect(answer).toMatchObject({ state: "broken", text: "Olá 한국", trouble: { code: "left" } });
});
