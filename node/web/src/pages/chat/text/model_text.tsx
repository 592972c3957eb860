import { Component } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { words } from "../words";
import { CopyButton } from "../copy_button";
import { codeOf, type Block, type CodeBlock } from "./blocks";
import { visible } from "./hidden_characters";
import { prose } from "./markdown";

/** Blocks that are drawn in one frame when a long answer is opened. */
const BLOCKS_A_FRAME = 6;

/** An answer's blocks. A block that is the same object as before is not drawn again. */
export function ModelText({ blocks }: { blocks: readonly Block[] }) {
  const limit = useLimit(blocks.length);
  return (
    <>
      {blocks.slice(0, limit).map((block, at) => (
        <BlockView key={at} block={block} />
      ))}
    </>
  );
}

/**
 * How many blocks are drawn: of an answer that was long when it was opened some more in each frame. One that comes
 * meanwhile has a pace of its own.
 */
function useLimit(length: number): number {
  const [limit, raise] = useState(length > BLOCKS_A_FRAME ? BLOCKS_A_FRAME : Infinity);
  useEffect(() => {
    if (limit >= length) return undefined;
    const asked = requestAnimationFrame(() => raise(limit + BLOCKS_A_FRAME));
    return () => cancelAnimationFrame(asked);
  }, [limit, length]);
  return limit;
}

class BlockView extends Component<{ block: Block }> {
  override shouldComponentUpdate(next: { block: Block }) {
    return next.block !== this.props.block;
  }

  override render({ block }: { block: Block }) {
    return block.kind === "code" ? <Code block={block} /> : <Prose source={block.source} />;
  }
}

function Prose({ source }: { source: string }) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => place.current?.replaceChildren(prose(source)), [source]);
  return <div class="prose" ref={place} />;
}

function Code({ block }: { block: CodeBlock }) {
  const t = words();
  const last = block.pieces.length - 1;
  return (
    <div class="code">
      <div class="code-head">
        <span class="mono">{visible(block.language).slice(0, 30)}</span>
        <CopyButton label={t.copyCode} text={() => visible(codeOf(block))} />
      </div>
      <pre tabIndex={0} role="group" aria-label={t.code}>
        {block.pieces.map((piece, at) => (
          <Piece key={at} text={piece} language={block.language} isDone={block.isClosed || at < last} />
        ))}
      </pre>
    </div>
  );
}

/** A part of code: plain while it grows, its words marked when it is done. */
export function Piece({ text, language, isDone }: { text: string; language: string; isDone: boolean }) {
  const place = useRef<HTMLElement>(null);
  // By itself: at the end of a long answer all its pieces are done at once, and none of them is laid out anew for that.
  useLayoutEffect(() => place.current?.replaceChildren(visible(text)), [text]);
  useLayoutEffect(() => {
    if (!isDone || language === "") return undefined;
    let isWanted = true;
    // A gateway that is gone leaves code without colours.
    void import("./highlight").then(
      async ({ highlighted }) => {
        const found = await highlighted(text, language.toLowerCase(), () => isWanted);
        if (found && isWanted) place.current?.replaceChildren(found);
      },
      () => undefined,
    );
    return () => {
      isWanted = false;
    };
  }, [text, language, isDone]);
  return <code ref={place} />;
}
