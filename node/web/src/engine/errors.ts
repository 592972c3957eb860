/** Why this browser cannot judge an answer: its model is too large, its files are not what they should be. */
export class UnjudgeableError extends Error {
  override name = "UnjudgeableError";
}
