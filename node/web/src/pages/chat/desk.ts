import { computed, signal } from "@preact/signals";
import { kept } from "../../kept";
import { addressOf, go } from "../../router";
import { receiptsOf } from "./evidence/evidence";
import { checkedSetup } from "./kept/checked";
import {
  answersOf,
  changeAnswer,
  forked,
  newConversation,
  newTurn,
  NO_SETUP,
  withAnswer,
  withQuestion,
  withTurn,
  type Answer,
  type Conversation,
  type Setup,
} from "./kept/conversation";
import { keeping } from "./keeping";
import { modelNamed, models } from "./models";
import { forgetShown, run, running, stop } from "./running";
import { drawnSeed, questionOf } from "./stream/question";

const SETUP_KEY = "nexus.chat.setup";

/** Conversations that are in use, by id: the one that is shown, and those in which an answer is coming. */
const loaded = signal<ReadonlyMap<string, Conversation>>(new Map());
const shownId = signal<string | undefined>(undefined);
const draft = signal<Conversation>(newConversation(lastSetup()));

/** Why the conversation at this address is not shown. */
export const missing = signal<"damaged" | "gone" | undefined>(undefined);

/** What is shown: a conversation that is kept, or one that has not begun. */
export const current = computed<Conversation>(() => {
  const id = shownId.value;
  return (id === undefined ? undefined : loaded.value.get(id)) ?? draft.value;
});

/** Show what the address names; without a name one that has not begun. */
export async function show(id: string | undefined): Promise<void> {
  missing.value = undefined;
  if (id !== undefined && !loaded.value.has(id)) {
    const found = await keeping.load(id);
    if (found === "damaged" || found === "gone") missing.value = found;
    else if (!loaded.value.has(id)) hold(found);
  }
  shownId.value = id !== undefined && loaded.value.has(id) ? id : undefined;
  letGo();
}

/** Another tab has kept a later state of it: that one is shown, unless an answer is coming here. */
keeping.whenChanged(async (id) => {
  const mine = loaded.value.get(id);
  if (!mine || isBusy(mine) || keeping.isWaiting(id)) return;
  const found = await keeping.load(id);
  // What was asked here while it was read is kept: the next save notices that the two have parted.
  if (loaded.value.get(id) !== mine) return;
  if (typeof found === "object" && found.revision > mine.revision) hold(found);
});

/** Another tab was first: what this one has goes on under a name of its own, and neither loses anything. */
keeping.whenParted((id, parted) => {
  const next = new Map(loaded.value);
  next.delete(id);
  loaded.value = next.set(parted.id, parted);
  if (shownId.value !== id) return;
  shownId.value = parted.id;
  go(addressOf("chat", parted.id), { replace: true });
});

export function changeSetup(change: Partial<Setup>): void {
  const setup = { ...current.value.setup, ...change };
  kept.write(SETUP_KEY, JSON.stringify({ ...setup, system: "" }));
  if (shownId.value === undefined) draft.value = { ...draft.value, setup };
  else update(shownId.value, (conversation) => ({ ...conversation, setup }));
}

/** Ask every model that is chosen. */
export function askAll(text: string): void {
  const conversation = asChosen(current.value);
  begin(withTurn(conversation, newTurn(text, conversation.setup.models.length)));
}

/** Put the question at `index` in other words. What stood below goes, or stays in the conversation that it is in. */
export function askOtherwise(index: number, text: string, { apart }: { apart: boolean }): void {
  const conversation = asChosen(current.value);
  for (const answer of answersOf(conversation)) if (!apart) stop(answer.key);
  begin(withQuestion(apart ? forked(conversation, index) : conversation, index, text));
}

/** Ask one model the same once more; the answer before stays beside it. */
export function askAgain(turn: number, lane: number): void {
  void answer(current.value.id, turn, lane);
}

export function stopAll(): void {
  for (const { key } of answersOf(current.value)) stop(key);
}

export function change(make: (conversation: Conversation) => Conversation): void {
  if (shownId.value !== undefined) update(shownId.value, make);
}

export async function removeConversation(id: string): Promise<void> {
  for (const one of answersOf(loaded.value.get(id) ?? draft.value)) stop(one.key);
  const next = new Map(loaded.value);
  next.delete(id);
  loaded.value = next;
  await keeping.remove(id);
  if (shownId.value === id) go(addressOf("chat"), { replace: true });
}

export async function removeAll(): Promise<void> {
  for (const key of running.value) stop(key);
  loaded.value = new Map();
  await keeping.clear();
  go(addressOf("chat"), { replace: true });
}

export function isBusy(conversation: Conversation): boolean {
  return answersOf(conversation).some(({ key }) => running.value.has(key));
}

/** The models that are chosen and that the gateway has; its first where none of them is left. */
export function chosenModels(setup: Setup): string[] {
  const offered = models.value ?? [];
  const left = setup.models.filter((name) => offered.some((one) => one.name === name));
  const first = offered[0];
  return left.length > 0 || !first ? left : [first.name];
}

function asChosen(conversation: Conversation): Conversation {
  return { ...conversation, setup: { ...conversation.setup, models: chosenModels(conversation.setup) } };
}

function begin(conversation: Conversation): void {
  put({ ...conversation, changed: Date.now() });
  if (shownId.value !== conversation.id) {
    shownId.value = conversation.id;
    draft.value = newConversation({ ...conversation.setup, system: "" });
    go(addressOf("chat", conversation.id));
  }
  const last = conversation.turns.length - 1;
  conversation.turns[last]?.lanes.forEach((_, lane) => void answer(conversation.id, last, lane));
}

/** One answer, from the question to its receipts. */
async function answer(id: string, turn: number, lane: number): Promise<void> {
  const conversation = loaded.value.get(id);
  if (!conversation) return;
  const before = conversation.turns[turn]?.lanes[lane]?.answers.at(-1);
  const model = modelNamed(before?.model ?? conversation.setup.models[lane] ?? "") ?? models.value?.[0];
  if (!model) return;
  const key = crypto.randomUUID();
  const seed = conversation.setup.sampling.seed ?? drawnSeed();
  const question = questionOf(conversation, turn, lane, model, seed);
  const asked: Answer = { key, model: model.name, version: model.version, question, text: "", state: "coming" };
  const set = (change: Partial<Answer>) =>
    update(id, (found) => changeAnswer(found, key, (one) => ({ ...one, ...change })));
  update(id, (found) => withAnswer(found, turn, lane, asked));
  const outcome = await run(
    key,
    question,
    (named) => named !== undefined && set({ id: named }),
    (text) => keeping.mayKeep(id) && set({ text }),
  );
  set(outcome);
  if (outcome.id !== undefined) await addEvidence(outcome.id, set);
  keeping.keepNow(id);
  letGo();
}

async function addEvidence(answerId: string, set: (change: Partial<Answer>) => void): Promise<void> {
  try {
    set({ evidence: (await receiptsOf(answerId)).evidence });
  } catch {
    // The panel beside the answer asks again, and says why it fails.
  }
}

/** A conversation may have got another id meanwhile; then it is that one. */
function update(id: string, make: (conversation: Conversation) => Conversation): void {
  const found = loaded.value.get(keeping.nameNow(id));
  if (found) put(make(found));
}

function put(conversation: Conversation): void {
  hold(conversation);
  if (conversation.turns.length > 0) keeping.keep(conversation.id);
}

function hold(conversation: Conversation): void {
  loaded.value = new Map(loaded.value).set(conversation.id, conversation);
}

/** Conversations that are neither shown nor busy need no memory. */
function letGo(): void {
  const next = new Map(loaded.value);
  for (const [id, conversation] of next) {
    if (id === shownId.value || isBusy(conversation) || keeping.isWaiting(id)) continue;
    forgetShown(answersOf(conversation).map(({ key }) => key));
    next.delete(id);
  }
  if (next.size !== loaded.value.size) loaded.value = next;
}

keeping.source((id) => loaded.value.get(id), hold);

function lastSetup(): Setup {
  try {
    return checkedSetup(JSON.parse(kept.read(SETUP_KEY) ?? "null"));
  } catch {
    return NO_SETUP;
  }
}
