import { MOST_STOPS, type Sampling } from "../kept/conversation";

/** What somebody typed into the fields of the sampling. */
export interface Typed {
  readonly temperature: string;
  readonly seed: string;
  readonly maxTokens: string;
  readonly stop: string;
}

export type Field = keyof Typed;

/** The sampling that was typed, or the fields that make no sense. */
export function parsedSampling(typed: Typed): { sampling: Sampling } | { wrong: readonly Field[] } {
  const temperature = decimal(typed.temperature);
  const seed = whole(typed.seed, 0);
  const maxTokens = whole(typed.maxTokens, 1);
  const stop = typed.stop.split("\n").filter((line) => line !== "");
  const wrong: Field[] = [];
  if (temperature === undefined || temperature > 2) wrong.push("temperature");
  if (seed === "wrong") wrong.push("seed");
  if (maxTokens === "wrong") wrong.push("maxTokens");
  if (stop.length > MOST_STOPS) wrong.push("stop");
  if (temperature === undefined || seed === "wrong" || maxTokens === "wrong" || wrong.length > 0) return { wrong };
  return {
    sampling: {
      temperature,
      stop,
      ...(seed === undefined ? {} : { seed }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    },
  };
}

export function typedSampling({ temperature, seed, maxTokens, stop }: Sampling): Typed {
  return {
    temperature: String(temperature),
    seed: seed === undefined ? "" : String(seed),
    maxTokens: maxTokens === undefined ? "" : String(maxTokens),
    stop: stop.join("\n"),
  };
}

/** Not below 0; people write a comma, too. */
function decimal(text: string): number | undefined {
  const found = text.trim().replace(",", ".");
  return /^\d+(\.\d+)?$/.test(found) ? Number(found) : undefined;
}

function whole(text: string, least: number): number | undefined | "wrong" {
  const found = text.trim();
  if (found === "") return undefined;
  const value = Number(found);
  return /^\d+$/.test(found) && Number.isSafeInteger(value) && value >= least ? value : "wrong";
}
