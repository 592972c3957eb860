/**
 * The gateway's clock, as far as its answers tell it. What the gateway compares with its own time is made with it: the
 * clock of this machine may be off by a day.
 */
let ahead = 0;

/** When a response was made, by the gateway's clock; undefined where it does not say. */
export function timeOf(response: Response): Date | undefined {
  const said = Date.parse(response.headers.get("date") ?? "");
  return Number.isNaN(said) ? undefined : new Date(said);
}

/** Learn the clock from a response that has just come. */
export function learnClock(response: Response): void {
  const said = timeOf(response);
  if (said) ahead = said.getTime() - Date.now();
}

/** Seconds since 1970 by the gateway's clock; by this machine's as long as the gateway has said nothing. */
export function gatewaySeconds(): number {
  return Math.floor((Date.now() + ahead) / 1000);
}
