import type { Address } from "viem";

import { parseAnswerFile, type AnswerFile } from "./answer_file";
import { UnjudgeableError } from "./errors";
import { accusations, judgeReceipts, type Fragment } from "./judgement";
import { loadModel, weightBytes, type LoadedModel, type ModelSource } from "./loaded_model";
import { checkPapers, type Step } from "./papers";
import { recompute, workOf } from "./recomputation";
import { textDifference } from "./text";
import { faultOf, type Verdict } from "./verdict";

/** What is verified, as it can be handed to a worker. */
export interface Evidence {
  readonly proof: unknown;
  /** What the reader saw. */
  readonly text: string;
  /** Texts that end an answer and are no part of it. */
  readonly stops: readonly string[];
  /** Receipt keys of nodes as the chain has them; without them the file's own are believed. */
  readonly receiptKeys?: Readonly<Record<Address, Address>>;
}

/** Fetching and checking a byte of weights takes about as long as multiplying it so many times. */
const LOADING = 40;

/** Verifies answers, and keeps the last model: the next answer of it is verified without loading anything. */
export class Verifier {
  private model: LoadedModel | undefined;

  /** Throws what the source throws; all else that stands in the way makes a verdict `unknown`. */
  async verify(
    evidence: Evidence,
    source: ModelSource,
    progress: (done: number, total: number) => void,
  ): Promise<Verdict> {
    const began = performance.now();
    const took = (): number => Math.round(performance.now() - began);
    try {
      const answer = parseAnswerFile(evidence.proof);
      const { receiptKeys } = evidence;
      const keys = receiptKeys && new Map(Object.entries(receiptKeys) as [Address, Address][]);
      const judged = keys ? { ...answer, receiptKeys: keys } : answer;
      return { ...(await this.judged(judged, evidence, source, progress)), milliseconds: took() };
    } catch (error) {
      // Nothing is known of kernels that were in the middle of something.
      this.model = undefined;
      if (!(error instanceof UnjudgeableError)) throw error;
      return { outcome: "unknown", reason: error.message, tokens: 0, milliseconds: took() };
    }
  }

  private async judged(
    answer: AnswerFile,
    evidence: Evidence,
    source: ModelSource,
    progress: (done: number, total: number) => void,
  ): Promise<Omit<Verdict, "milliseconds">> {
    const wanted = answer.order.document.modelVersion;
    const listing = this.model?.listing.id === wanted ? this.model.listing : await source.listing();
    if (listing.id !== wanted) {
      throw new UnjudgeableError("the gateway has the files of another model version than the order names");
    }
    const isKept = this.model?.listing.id === wanted;
    const bytes = weightBytes(listing);
    const loading = isKept ? 0 : 2 * bytes * LOADING;
    // The kernels' memory never shrinks: what is not needed any more is let go as a whole, before the next is fetched.
    if (!isKept) this.model = undefined;
    const total = (positions: number): number => loading + bytes * positions;
    const expected = answer.tokens.length;
    this.model ??= await loadModel(listing, source, (done) => progress(done * LOADING, total(expected)));
    const model = this.model;
    const steps = await checkPapers(answer);
    const layers = workOf(answer, model.program);
    const found = recompute(answer, model, (done) =>
      progress(loading + (bytes * expected * done) / layers, total(expected)),
    );
    const fragments = judgeReceipts(answer, found);
    return verdictOf(answer, evidence, model, withSixth(steps, fragments), fragments);
  }
}

function withSixth(steps: readonly Step[], fragments: readonly Fragment[]): Step[] {
  const wrong = fragments
    .filter((fragment) => !fragment.verified)
    .sort((one, other) => +other.toBlame - +one.toBlame)[0];
  const reason = wrong ? `segment ${wrong.segment}: ${wrong.reason}` : "";
  return [...steps, { number: 6, name: "recompute", passed: !wrong, reason }];
}

async function verdictOf(
  answer: AnswerFile,
  evidence: Evidence,
  { listing, codec, program }: LoadedModel,
  steps: readonly Step[],
  fragments: readonly Fragment[],
): Promise<Omit<Verdict, "milliseconds">> {
  const prompt = answer.tokens.slice(0, answer.promptLength);
  const { samplingSeed, sampling, maxTokens } = answer.order.document;
  const found = {
    order: { samplingSeed, sampling, maxTokens },
    weightsRoot: listing.weightsRoot,
    modelVersion: listing.id,
    steps,
    fragments,
    tokens: answer.tokens.length,
    ...(codec ? { prompt: codec.written(prompt) } : {}),
  };
  const [accused] = await accusations(answer, fragments);
  if (accused) return { ...found, outcome: "wrong", reason: accused.reason, fault: faultOf(accused, fragments) };
  const failed = steps.find((step) => !step.passed);
  if (failed) return { ...found, outcome: "wrong", reason: `${failed.name}: ${failed.reason}` };
  if (!codec) {
    const reason = "the tokens are right, but this page cannot write them as text; use `nexus verify` to compare it";
    return { ...found, outcome: "unknown", reason };
  }
  const judged = codec.decode(answer.tokens.slice(answer.promptLength));
  const difference = textDifference(judged, evidence.text, evidence.stops);
  if (difference) return { ...found, outcome: "wrong", reason: difference };
  const most = Math.min(answer.promptLength + maxTokens, program.shape.context);
  const isComplete =
    answer.tokens.length >= most ||
    codec.isSpecial(answer.tokens.at(-1) ?? -1) ||
    evidence.stops.some((stop) => stop !== "" && judged.includes(stop));
  return { ...found, isComplete, outcome: "right" };
}
