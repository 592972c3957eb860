import { useEffect, useState } from "preact/hooks";
import { words } from "../words";
import type { Block } from "./blocks";
import { Piece } from "./model_text";

/** What a model that continues texts made of one: the text as it is, behind the words that it began with. */
export function ContinuedText({ begun, blocks, isDone }: { begun: string; blocks: readonly Block[]; isDone: boolean }) {
  const t = words();
  const pieces = blocks.flatMap((block) => (block.kind === "code" ? block.pieces : []));
  const language = useLanguage(isDone ? begun + pieces.slice(0, 1).join("") : "");
  return (
    <pre class="continued" tabIndex={0} role="group" aria-label={t.modelText}>
      <span class="begun">
        <Piece text={begun} language={language} isDone={isDone} />
      </span>
      {pieces.map((piece, at) => (
        <Piece key={at} text={piece} language={language} isDone={isDone} />
      ))}
    </pre>
  );
}

/** The language that a text seems to be in; none for an empty one. */
function useLanguage(text: string): string {
  const [language, learn] = useState("");
  useEffect(() => {
    if (text === "") return undefined;
    let isWanted = true;
    // A gateway that is gone leaves code without colours.
    void import("./highlight").then(
      async ({ guessedLanguage }) => {
        const guessed = await guessedLanguage(text, () => isWanted);
        if (isWanted) learn(guessed);
      },
      () => undefined,
    );
    return () => {
      isWanted = false;
    };
  }, [text]);
  return language;
}
