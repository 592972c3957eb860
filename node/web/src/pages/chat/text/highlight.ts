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

/**
 * A piece of code with its words marked, as nodes; none where the language is not known here. Pieces are marked one
 * after the other, each in a task of its own: a long text that ends does not stop the browser from drawing. What is
 * not wanted any more when its turn comes takes none.
 */
export function highlighted(
  code: string,
  language: string,
  isWanted: () => boolean,
): Promise<DocumentFragment | undefined> {
  return inTurn(isWanted, () => {
    if (!hljs.getLanguage(language)) return undefined;
    return sanitised(hljs.highlight(visible(code), { language, ignoreIllegals: true }).value);
  });
}

const LOOKED_AT = 2000;
const SURE = 5;

/** The language that a text seems to be written in; empty where none is likely. Each is tried in a task of its own. */
export async function guessedLanguage(text: string, isWanted: () => boolean): Promise<string> {
  let likely = "";
  let most = SURE - 1;
  for (const language of Object.keys(LANGUAGES)) {
    const found = await inTurn(isWanted, () =>
      hljs.highlight(text.slice(0, LOOKED_AT), { language, ignoreIllegals: false }),
    );
    if (!found) return "";
    const { relevance } = found;
    if (relevance > most) [likely, most] = [language, relevance];
  }
  return likely;
}

let before: Promise<unknown> = Promise.resolve();

/** Do `work` in a task of its own, once what was asked for before is done; nothing where it is not wanted by then. */
function inTurn<T>(isWanted: () => boolean, work: () => T): Promise<T | undefined> {
  const done = before.then(async () => {
    if (!isWanted()) return undefined;
    await new Promise((resolve) => setTimeout(resolve));
    return work();
  });
  before = done.catch(() => undefined);
  return done;
}
