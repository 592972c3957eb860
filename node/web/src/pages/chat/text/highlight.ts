import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { visible } from "./hidden_characters";
import { sanitised } from "./markdown";

const LANGUAGES = { bash, c, cpp, css, diff, go, javascript, json, python, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);

/** A piece of code with its words marked, as nodes; none where the language is not known here. */
export function highlighted(code: string, language: string): DocumentFragment | undefined {
  if (!hljs.getLanguage(language)) return undefined;
  return sanitised(hljs.highlight(visible(code), { language, ignoreIllegals: true }).value);
}

const LOOKED_AT = 2000;
const SURE = 5;

/** The language that a text seems to be written in; empty where none is likely. */
export function guessedLanguage(text: string): string {
  const { language, relevance } = hljs.highlightAuto(text.slice(0, LOOKED_AT));
  return language !== undefined && relevance >= SURE ? language : "";
}
