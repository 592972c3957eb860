import { signal } from "@preact/signals";
import { ask, askJson } from "../../api/gateway";
import { eventsOf } from "../../api/event_stream";
import type { AuditReport, AuditState, AuditStep, AuditSummary } from "./gateway_types";

/** An audit as far as the gateway has told of it. */
export interface SeenAudit {
  readonly id: string;
  readonly cid: string;
  readonly state: AuditState;
  readonly reason: string;
  /** Its place in the gateway's queue, from 1, while it waits for its turn. */
  readonly place?: number;
  readonly titles: readonly string[];
  readonly steps: readonly AuditStep[];
  readonly report?: AuditReport;
  /** Why nothing more is heard of it; it goes on at the gateway all the same. */
  readonly lost?: unknown;
}

/** The audit that is shown; none before one was begun. */
export const shownAudit = signal<SeenAudit | undefined>(undefined);
let listening: AbortController | undefined;

/** Start an audit at the gateway, and follow it. Throws GatewayError. */
export async function beginAudit(cid: string): Promise<void> {
  const begun = await askJson<AuditSummary>("/page/audits", { body: { cid } });
  void followAudit(begun);
}

/** Go on with the latest audit of a certificate that the gateway knows of, if there is one. */
export async function resumeAudit(cid: string): Promise<void> {
  if (shownAudit.value?.cid === cid && !shownAudit.value.lost) return;
  const known = await askJson<AuditSummary[]>("/page/audits");
  const latest = known.find((one) => one.cid === cid);
  if (latest) void followAudit(latest);
}

/** End it, in the middle of a step where it has to be. Throws GatewayError. */
export async function cancelAudit(id: string): Promise<void> {
  await ask(`/page/audits/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** Hear all that was said and is said of an audit. What is lost on the way is heard again: it comes from the start. */
export async function followAudit(audit: AuditSummary): Promise<void> {
  listening?.abort();
  const own = (listening = new AbortController());
  shownAudit.value = { id: audit.id, cid: audit.cid, state: "running", reason: "", titles: [], steps: [] };
  const path = `/page/audits/${encodeURIComponent(audit.id)}/events`;
  try {
    for await (const event of eventsOf(await ask(path, { signal: own.signal }))) {
      if (own.signal.aborted || !shownAudit.value) return;
      shownAudit.value = heard(shownAudit.value, event.name, event.data);
    }
    if (shownAudit.value && isOpen(shownAudit.value)) throw new Error("the stream ended before the audit did");
  } catch (error) {
    if (!own.signal.aborted && shownAudit.value) shownAudit.value = { ...shownAudit.value, lost: error };
  }
}

/** Whether it waits or is under way. */
export function isOpen(audit: SeenAudit): boolean {
  return audit.state === "waiting" || audit.state === "running";
}

/** What is known after one more event; what is no event of an audit changes nothing. */
export function heard(audit: SeenAudit, name: string, data: string): SeenAudit {
  let said: unknown;
  try {
    said = JSON.parse(data);
  } catch {
    return audit;
  }
  if (name === "place" && typeof said === "number") {
    return { ...audit, state: said > 0 ? "waiting" : "running", place: said };
  }
  if (name === "titles" && Array.isArray(said)) return { ...audit, titles: said.map(String) };
  if (name === "step") return { ...audit, steps: [...audit.steps, said as AuditStep] };
  if (name === "report") return { ...audit, report: said as AuditReport };
  if (name === "end") return { ...audit, ...(said as { state: AuditState; reason: string }) };
  return audit;
}

/** Forget what is shown: another certificate is looked at. The gateway's audit goes on. */
export function leaveAudit(): void {
  listening?.abort();
  shownAudit.value = undefined;
}
