import { signal } from "@preact/signals";
import { kept } from "../kept";

/** Languages that the page speaks. */
export const LANGUAGES = { en: "English", pt: "Português", ko: "한국어" } as const;
export type Language = keyof typeof LANGUAGES;

const KEY = "nexus.language";

/** The language in use: the one chosen before, else the first of the browser's that the page speaks, else English. */
export const language = signal<Language>(chosenBefore() ?? fromBrowser());

export function chooseLanguage(wanted: Language): void {
  language.value = wanted;
  document.documentElement.lang = wanted;
  kept.write(KEY, wanted);
}

/**
 * Words of one part of the page, in every language. The compiler refuses a language that lacks a word.
 *
 * Read them inside a component, so that it follows a change of language: `const t = words();`
 */
export function dictionary<Words extends object>(byLanguage: Record<Language, Words>): () => Words {
  return () => byLanguage[language.value];
}

function chosenBefore(): Language | undefined {
  const found = kept.read(KEY);
  return found !== undefined && found in LANGUAGES ? (found as Language) : undefined;
}

function fromBrowser(): Language {
  const spoken = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES);
  return (spoken as Language | undefined) ?? "en";
}
