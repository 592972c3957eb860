import type { Evidence } from "../evidence/evidence";
import type { Finish, Question, Usage } from "../stream/answer_stream";

/** A conversation as the browser keeps it. Nothing in it is changed in place: a change makes a new one. */
export interface Conversation {
  readonly format: 1;
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly changed: number;
  /** Counts what was kept, so that two tabs notice each other; 0: never kept. */
  readonly revision: number;
  readonly setup: Setup;
  readonly turns: readonly Turn[];
}

/** Who is asked, and how. */
export interface Setup {
  /** Names of the models that answer side by side; one may stand there twice. */
  readonly models: readonly string[];
  readonly system: string;
  readonly sampling: Sampling;
}

export interface Sampling {
  readonly temperature: number;
  /** None: one is drawn for each answer, and written down with it. */
  readonly seed?: number;
  /** None: as the gateway has it; of a model that continues texts CONTINUED_TOKENS. */
  readonly maxTokens?: number;
  readonly stop: readonly string[];
}

/** A question, and what each model side by side made of it. */
export interface Turn {
  readonly key: string;
  readonly text: string;
  readonly lanes: readonly Lane[];
}

/** Answers of one model to one question: asking again adds one, since each was paid and can be proved. */
export interface Lane {
  readonly answers: readonly Answer[];
  readonly shown: number;
}

/** `coming` while it streams; `stopped` by its reader; `broken` and `refused` by what `trouble` says. */
export type AnswerState = "coming" | "whole" | "stopped" | "broken" | "refused";

export interface Answer {
  readonly key: string;
  readonly model: string;
  /** The version that the gateway named for the model then: 0x and 64 hex digits. */
  readonly version: string;
  readonly question: Question;
  readonly text: string;
  readonly state: AnswerState;
  /** Names it at `/v1/receipts/ID`; none where the gateway never began. */
  readonly id?: string;
  readonly finish?: Finish;
  readonly usage?: Usage;
  readonly trouble?: Trouble;
  readonly evidence?: Evidence;
}

/** Why an answer is not whole. */
export interface Trouble {
  /** HTTP status; 0: the connection failed. */
  readonly status: number;
  readonly code: string;
  /** The gateway's own words. */
  readonly message: string;
  /** Milliseconds since 1970 from when on it may be asked again. */
  readonly retryAt?: number;
}

export const MOST_MODELS = 4;
export const MOST_STOPS = 4;

export const NO_SETUP: Setup = { models: [], system: "", sampling: { temperature: 0.7, stop: [] } };

export function newConversation(setup: Setup, now = Date.now()): Conversation {
  return { format: 1, id: crypto.randomUUID(), title: "", created: now, changed: now, revision: 0, setup, turns: [] };
}

export function newTurn(text: string, lanes: number): Turn {
  return { key: crypto.randomUUID(), text, lanes: Array.from({ length: lanes }, () => ({ answers: [], shown: 0 })) };
}

/** The answer of a lane that is shown; none before one was asked for. */
export function shownAnswer(turn: Turn, lane: number): Answer | undefined {
  const found = turn.lanes[lane];
  return found?.answers[found.shown];
}

export function withTurn(conversation: Conversation, turn: Turn): Conversation {
  const title = conversation.title || titleOf(turn.text);
  return { ...conversation, title, turns: [...conversation.turns, turn] };
}

/** The question at `index` put in other words: what was built on the old one goes. */
export function withQuestion(conversation: Conversation, index: number, text: string): Conversation {
  const turns = conversation.turns.slice(0, index);
  return withTurn({ ...conversation, turns }, newTurn(text, conversation.setup.models.length));
}

/** The beginning of a conversation as one of its own, up to but without the question at `index`. */
export function forked(conversation: Conversation, index: number): Conversation {
  const { title, turns } = conversation;
  return { ...newConversation(conversation.setup), title: index > 0 ? title : "", turns: turns.slice(0, index) };
}

/** A lane with one more answer, which is shown. */
export function withAnswer(conversation: Conversation, turn: number, lane: number, answer: Answer): Conversation {
  return changeLane(conversation, turn, lane, ({ answers }) => ({
    answers: [...answers, answer],
    shown: answers.length,
  }));
}

export function withShown(conversation: Conversation, turn: number, lane: number, shown: number): Conversation {
  return changeLane(conversation, turn, lane, ({ answers }) => ({ answers, shown }));
}

/** The answer with this key changed, wherever it stands. */
export function changeAnswer(
  conversation: Conversation,
  key: string,
  change: (answer: Answer) => Answer,
): Conversation {
  const lanesOf = (turn: Turn) =>
    turn.lanes.map((lane) => ({
      ...lane,
      answers: lane.answers.map((answer) => (answer.key === key ? change(answer) : answer)),
    }));
  const holds = (turn: Turn) => turn.lanes.some((lane) => lane.answers.some((answer) => answer.key === key));
  return {
    ...conversation,
    turns: conversation.turns.map((turn) => (holds(turn) ? { ...turn, lanes: lanesOf(turn) } : turn)),
  };
}

export function answersOf(conversation: Conversation): Answer[] {
  return conversation.turns.flatMap((turn) => turn.lanes.flatMap((lane) => lane.answers));
}

/** Wei that the bills of its answers name. */
export function costOf(conversation: Conversation): bigint {
  return answersOf(conversation).reduce((sum, answer) => sum + BigInt(answer.evidence?.costWei ?? 0), 0n);
}

function changeLane(
  conversation: Conversation,
  turn: number,
  lane: number,
  change: (lane: Lane) => Lane,
): Conversation {
  const turns = conversation.turns.map((one, at) =>
    at === turn ? { ...one, lanes: one.lanes.map((found, place) => (place === lane ? change(found) : found)) } : one,
  );
  return { ...conversation, turns };
}

function titleOf(question: string): string {
  const words = question.trim().replace(/\s+/g, " ");
  return words.length > 60 ? `${words.slice(0, 59).trimEnd()}…` : words;
}
