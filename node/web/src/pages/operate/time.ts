import { language } from "../../words/language";

/** A moment for people, of Unix seconds. */
export function momentOf(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleString(language.value, { dateStyle: "medium", timeStyle: "short" });
}
