import { numberOf } from "../design/amount";
import { durationOf } from "./clock";
import "./facts.css";
import { age, asOf, link, tick } from "./live";
import { words } from "./words";

/** How old what is shown is, told all the time; aloud only when it changes from fresh to old or back. */
export function Freshness() {
  const t = words();
  const state = freshness();
  const said = {
    connecting: () => t.connecting,
    gone: () => t.gone(durationOf((tick.value - link.value.since) / 1000)),
    problem: () => t.problem(durationOf(age.value ?? 0)),
    behind: () => t.behind(numberOf(asOf.value?.block ?? 0), numberOf(asOf.value?.chain_block ?? 0)),
    live: () => t.live(numberOf(asOf.value?.block ?? 0), durationOf(age.value ?? 0)),
  }[state]();
  const verdict = state === "live" ? "right" : state === "gone" ? "wrong" : "open";
  return (
    <p class="freshness">
      <span data-verdict={verdict} data-state={state}>
        <span aria-hidden="true">{state === "live" ? "● " : "○ "}</span>
        {said}
      </span>
      {asOf.value?.problem && state === "problem" && <span class="quiet"> {asOf.value.problem}</span>}
      <span role="status" class="unseen">
        {state === "gone" || state === "problem" ? (state === "gone" ? t.goneNow : t.problemNow) : ""}
      </span>
    </p>
  );
}

function freshness(): "connecting" | "gone" | "problem" | "behind" | "live" {
  if (link.value.state !== "live") return link.value.state === "gone" ? "gone" : "connecting";
  if (!asOf.value) return "connecting";
  if (asOf.value.problem) return "problem";
  return asOf.value.behind ? "behind" : "live";
}
