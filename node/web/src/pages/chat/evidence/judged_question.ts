import type { Question } from "../stream/answer_stream";
import { isContinued } from "../stream/answer_stream";

/** A control token's name before a text, such as `<s>` or `<|begin_of_text|>`: a model's tokenizer may set one. */
const CONTROL = /^<\|?[A-Za-z][\w]{0,30}\|?>/;

/**
 * Whether the prompt that nodes computed on is the question that was sent. A gateway could have asked something else:
 * then everything is computed rightly, and answers nobody's question.
 *
 * `prompt`: as the engine wrote it out of the order's tokens, control tokens by their names. A text that is continued
 * has to be all of it. A conversation is written in the model's chat format, which the page does not know; each
 * message has to stand in it, in order. What else the format puts there is shown to the reader.
 */
export function isQuestionOf(prompt: string, question: Question): boolean {
  if (isContinued(question)) {
    const sent = question.body["prompt"];
    return typeof sent === "string" && (prompt === sent || prompt.replace(CONTROL, "") === sent);
  }
  let at = 0;
  for (const text of messagesOf(question)) {
    // Chat formats take the spaces around a message away.
    const found = prompt.indexOf(text.trim(), at);
    if (found < 0) return false;
    at = found + text.trim().length;
  }
  return true;
}

/** Texts that end an answer, as the request said. */
export function stopsOf({ body }: Question): readonly string[] {
  const stop = body["stop"];
  if (typeof stop === "string") return [stop];
  return Array.isArray(stop) ? stop.filter((one) => typeof one === "string") : [];
}

function messagesOf({ body }: Question): string[] {
  const messages = body["messages"];
  if (!Array.isArray(messages)) return [];
  return messages.map((one: { content?: unknown }) => (typeof one.content === "string" ? one.content : ""));
}
