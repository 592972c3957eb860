import { signal } from "@preact/signals";
import { ask } from "../../api/gateway";
import { eventsOf } from "../../api/event_stream";
import type { Sighting } from "./gateway_types";

/** The latest that the radar saw; none before the first. */
export const sighting = signal<Sighting | undefined>(undefined);
/** Why nothing new comes; undefined while the stream is there. */
export const radarProblem = signal<unknown>(undefined);

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** Follow the radar until the signal says stop. A stream that breaks off is taken up again, later each time. */
export async function followRadar(stop: AbortSignal): Promise<void> {
  let pause = FIRST_PAUSE_MS;
  while (!stop.aborted) {
    try {
      for await (const event of eventsOf(await ask("/page/radar", { signal: stop }))) {
        if (event.name !== "sighting") continue;
        sighting.value = JSON.parse(event.data) as Sighting;
        radarProblem.value = undefined;
        pause = FIRST_PAUSE_MS;
      }
      radarProblem.value ??= new Error("the stream ended");
    } catch (error) {
      if (!stop.aborted) radarProblem.value = error;
    }
    await slept(pause, stop);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
}

function slept(milliseconds: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stop.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
