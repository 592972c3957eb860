import type { ChainAtHand } from "./browser_checks";

/** The chain behind the reader's own wallet; undefined while none is connected. */
export function chainAtHand(): ChainAtHand | undefined {
  return undefined;
}
