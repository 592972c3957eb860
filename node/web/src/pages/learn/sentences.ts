import { language } from "../../words/language";
import type { Sign } from "./gateway_types";
import { words, type SignFacts } from "./words";

/** A sign or an alarm in one sentence of the language in use; the bare facts of a kind that the page does not know. */
export function sentenceAbout(sign: Sign): string {
  const say = words().signs[sign.kind];
  return say ? say(factsOf(sign)) : `${sign.kind}: ${shortened(sign.subject)}`;
}

/** A time of the chain's or the gateway's clock, seconds since 1970. */
export function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString(language.value, { dateStyle: "short", timeStyle: "medium" });
}

function factsOf(sign: Sign): SignFacts {
  const { start, end, latency_ms, usual_ms, failed, verified, chunks } = sign.facts;
  return {
    subject: shortened(sign.subject),
    start: text(start),
    // The last layer that it is about: people count both ends.
    end: typeof end === "number" ? text(end - 1) : "",
    latency: text(latency_ms),
    usual: text(usual_ms),
    failed: text(failed),
    verified: text(verified),
    chunks: text(chunks),
  };
}

function text(value: unknown): string {
  if (typeof value === "number") return value.toLocaleString(language.value, { maximumFractionDigits: 0 });
  return "";
}

function shortened(subject: string): string {
  return /^0x[0-9a-fA-F]{40}$/.test(subject) ? `${subject.slice(0, 8)}…${subject.slice(-4)}` : subject.slice(0, 80);
}
