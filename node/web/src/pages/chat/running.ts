import { signal, type Signal } from "@preact/signals";
import { GatewayError } from "../../api/gateway";
import type { Answer, Trouble } from "./kept/conversation";
import { answerParts, isContinued, type Question, type StreamPart } from "./stream/answer_stream";
import { Pace } from "./stream/pace";
import { BlockReader, blocksOf, type Block } from "./text/blocks";

/** What is on the screen of one answer. It stays when the answer has ended: then nothing has to be drawn again. */
export interface Shown {
  readonly blocks: Signal<readonly Block[]>;
  /** Pieces that came, each of one token or more; 0 for an answer that was kept before. */
  readonly pieces: Signal<number>;
}

const shown = new Map<string, Shown>();
const controllers = new Map<string, AbortController>();

/** Answers that are being computed, by key. */
export const running = signal<ReadonlySet<string>>(new Set());

export function shownOf(answer: Answer): Shown {
  const before = shown.get(answer.key);
  if (before) return before;
  const made = { blocks: signal(blocksOf(answer.text, isContinued(answer.question))), pieces: signal(0) };
  shown.set(answer.key, made);
  return made;
}

/** Forget what is drawn of answers that nobody looks at. */
export function forgetShown(keys: Iterable<string>): void {
  for (const key of keys) if (!controllers.has(key)) shown.delete(key);
}

export function stop(key: string): void {
  controllers.get(key)?.abort();
}

export type Outcome = Pick<Answer, "state" | "text" | "id" | "finish" | "usage" | "trouble">;

/**
 * Ask, and show what comes. Never throws: how it went is in what it returns. `begun` is told the answer's id, `grown`
 * is told the text now and then.
 */
export async function run(
  key: string,
  question: Question,
  begun: (id: string | undefined) => void,
  grown: (text: string) => void,
): Promise<Outcome> {
  const controller = new AbortController();
  const reader = new BlockReader(isContinued(question));
  const made: Shown = { blocks: signal([]), pieces: signal(0) };
  const pace = new Pace((text) => {
    reader.append(text);
    made.blocks.value = reader.blocks();
    made.pieces.value = pieces;
  });
  let text = "";
  let pieces = 0;
  let id: string | undefined;
  let ended: Extract<StreamPart, { kind: "ended" }> | undefined;
  let trouble: Trouble | undefined;
  shown.set(key, made);
  controllers.set(key, controller);
  running.value = new Set(controllers.keys());
  try {
    for await (const part of answerParts(question, controller.signal)) {
      if (part.kind === "begun") begun((id = part.id));
      else if (part.kind === "ended") ended = part;
      else {
        text += part.text;
        pieces += 1;
        pace.push(part.text);
        grown(text);
      }
    }
  } catch (error) {
    if (!controller.signal.aborted) trouble = troubleOf(error);
  }
  await pace.drained();
  controllers.delete(key);
  running.value = new Set(controllers.keys());
  return {
    text,
    state: stateOf(ended !== undefined, trouble, id),
    ...(id === undefined ? {} : { id }),
    ...(ended === undefined ? {} : { finish: ended.finish }),
    ...(ended?.usage === undefined ? {} : { usage: ended.usage }),
    ...(trouble === undefined ? {} : { trouble }),
  };
}

function stateOf(hasEnded: boolean, trouble: Trouble | undefined, id: string | undefined): Answer["state"] {
  if (hasEnded) return "whole";
  if (trouble === undefined) return "stopped";
  return id === undefined ? "refused" : "broken";
}

function troubleOf(error: unknown): Trouble {
  if (!(error instanceof GatewayError)) return { status: 0, code: "page", message: String(error) };
  const { status, code, message, retryAfter } = error;
  return { status, code, message, ...(retryAfter === undefined ? {} : { retryAt: Date.now() + 1000 * retryAfter }) };
}
