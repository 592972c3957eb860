import type { Conversation, Turn } from "../kept/conversation";
import { shownAnswer } from "../kept/conversation";
import type { ChatModel } from "../models";
import type { Question } from "./answer_stream";

/** Tokens of a model that continues texts, where its reader names no number: it has no end of its own. */
export const CONTINUED_TOKENS = 128;

/**
 * What a model is asked at a turn of a conversation: its own answers to the turns before, or the first model's where it
 * was not asked then. `seed` is always sent: a request that names none leaves the draw to the gateway, and nobody could
 * check it.
 */
export function questionOf(
  conversation: Conversation,
  turn: number,
  lane: number,
  model: ChatModel,
  seed: number,
): Question {
  const { sampling, system } = conversation.setup;
  const { maxTokens, stop, temperature } = sampling;
  const tokens = maxTokens ?? (model.isChat ? undefined : CONTINUED_TOKENS);
  const body = {
    model: model.name,
    ...(model.isChat
      ? { messages: messagesOf(conversation, turn, own(lane, model), system) }
      : { prompt: textSoFar(conversation, turn, own(lane, model)) }),
    temperature,
    seed,
    ...(tokens === undefined ? {} : { max_tokens: tokens }),
    ...(stop.length > 0 ? { stop: [...stop] } : {}),
    stream: true,
    stream_options: { include_usage: true },
  };
  return { endpoint: model.isChat ? "/v1/chat/completions" : "/v1/completions", body };
}

/** A number that nobody chose. */
export function drawnSeed(): number {
  const drawn = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  return drawn >>> 1;
}

/** Finds what a model had said at an earlier turn. */
type Said = (turn: Turn) => string;

/**
 * Its own answer: at its place, or at another where models were taken away since. Where it was not asked, what the
 * first one said.
 */
function own(lane: number, model: ChatModel): Said {
  return (turn) => {
    const answers = turn.lanes.map((_, at) => shownAnswer(turn, at));
    const mine = answers[lane]?.model === model.name ? answers[lane] : answers.find((one) => one?.model === model.name);
    return (mine ?? answers[lane] ?? answers[0])?.text ?? "";
  };
}

function messagesOf(conversation: Conversation, turn: number, said: Said, system: string) {
  const before = conversation.turns.slice(0, turn).flatMap((one) => {
    const answer = said(one);
    if (answer === "") return [];
    return [
      { role: "user", content: one.text },
      { role: "assistant", content: answer },
    ];
  });
  const asked = { role: "user", content: conversation.turns[turn]?.text ?? "" };
  return [...(system.trim() === "" ? [] : [{ role: "system", content: system }]), ...before, asked];
}

/** One text: questions and answers in a row, as if somebody had gone on writing. */
function textSoFar(conversation: Conversation, turn: number, said: Said): string {
  const before = conversation.turns.slice(0, turn).map((one) => {
    const answer = said(one);
    return answer === "" ? "" : one.text + answer;
  });
  return before.join("") + (conversation.turns[turn]?.text ?? "");
}
