import { hexToBytes } from "viem";

import type { AnswerFile } from "./answer_file";
import { UnjudgeableError } from "./errors";
import type { Kernels } from "./kernels";
import type { Program } from "./program";
import type { Sampling } from "./sampling";
import { SegmentEngine } from "./segment_engine";
import { BoundaryRoots } from "./tensor_root";

/** Positions recomputed at a time; any number gives the same bits. */
const BLOCK_ROWS = 64;
const LARGEST_BETA = 2 ** 31 - 1;

/** A model in the kernels' memory. */
export interface RunnableModel {
  readonly kernels: Kernels;
  readonly program: Program;
  readonly addresses: ReadonlyMap<string, number>;
}

/** Every boundary's rows and the sampled tokens, recomputed from the tokens alone. */
export interface Recomputation {
  readonly sampled: readonly number[];
  readonly boundaries: readonly BoundaryRoots[];
}

/**
 * One prefill over the answer's tokens, segment by segment as they were ordered. `progress` counts positions times
 * layers. Throws UnjudgeableError where the order is for another model than this one.
 */
export function recompute(
  answer: AnswerFile,
  model: RunnableModel,
  progress: (done: number, total: number) => void,
): Recomputation {
  const { document: order } = answer.order;
  const { width, layers } = model.program.shape;
  requireCover(answer, layers);
  const count = Math.max(answer.tokens.length - 1, answer.promptLength);
  const salt = hexToBytes(order.salt);
  const boundaries: BoundaryRoots[] = [];
  let rows: Int32Array = Int32Array.from(answer.tokens.slice(0, count));
  order.asks.forEach(({ layerStart, layerEnd }, segment) => {
    const done = (positions: number): void =>
      progress(layerStart * count + positions * (layerEnd - layerStart), count * layers);
    rows = prefill(answer, model, [layerStart, layerEnd], rows, done);
    if (segment < order.asks.length - 1) boundaries.push(new BoundaryRoots(rows, width, salt));
  });
  return { sampled: [...rows], boundaries };
}

/** Positions times layers of an answer: what its recomputation costs. */
export function workOf(answer: AnswerFile, program: Program): number {
  return Math.max(answer.tokens.length - 1, answer.promptLength) * program.shape.layers;
}

function requireCover(answer: AnswerFile, layers: number): void {
  let covered = 0;
  for (const ask of answer.order.document.asks) {
    if (ask.layerStart !== covered || ask.layerEnd <= ask.layerStart) covered = Number.NaN;
    else covered = ask.layerEnd;
  }
  if (covered !== layers)
    throw new UnjudgeableError(`the order is for another model than this one of ${layers} layers`);
}

/** All rows of one segment's output: i32[t, width], or the sampled tokens i32[n]. */
function prefill(
  answer: AnswerFile,
  { kernels, program, addresses }: RunnableModel,
  layers: readonly [number, number],
  rows: Int32Array,
  progress: (positions: number) => void,
): Int32Array {
  const width = layers[0] === 0 ? 1 : program.shape.width;
  const count = rows.length / width;
  if (count > program.shape.context) throw new UnjudgeableError(`the model has a context of ${program.shape.context}`);
  const sequence = { promptLength: answer.promptLength, sampling: samplingOf(answer), capacity: count };
  const engine = new SegmentEngine(kernels, program, addresses, layers, sequence, Math.min(BLOCK_ROWS, count));
  const parts: Int32Array[] = [];
  try {
    for (let at = 0; at < count; at += BLOCK_ROWS) {
      const end = Math.min(at + BLOCK_ROWS, count);
      parts.push(engine.forward(rows.subarray(at * width, end * width)));
      progress(end);
    }
  } finally {
    engine.close();
  }
  return joinedRows(parts);
}

function joinedRows(parts: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function samplingOf(answer: AnswerFile): Sampling {
  const { sampling: beta, samplingSeed } = answer.order.document;
  if (beta > LARGEST_BETA) throw new UnjudgeableError(`the order's sampling ${beta} is above ${LARGEST_BETA}`);
  return { beta, seed: hexToBytes(samplingSeed) };
}
