/** A part of an answer that is drawn by itself: prose in Markdown, or code between fences. */
export type Block = ProseBlock | CodeBlock;

export interface ProseBlock {
  readonly kind: "prose";
  readonly source: string;
}

export interface CodeBlock {
  readonly kind: "code";
  /** The word behind the opening fence; empty without one. */
  readonly language: string;
  /** Text in parts that are drawn by themselves: all but the last never change again. */
  readonly pieces: readonly string[];
  readonly isClosed: boolean;
}

/** Characters of a line, and of a block of prose. Longer ones are cut: no frame has to draw more than this anew. */
export const MOST_CHARACTERS = 4096;
/** Characters and lines after which a piece of code is done: its words are marked at once, within a frame. */
const MOST_OF_PIECE = 1536;
const MOST_LINES_OF_PIECE = 40;
const FENCE = /^( {0,3})(`{3,}|~{3,})(.*)$/;
const LIST_ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;

/**
 * Splits an answer into blocks while it comes. Finished blocks are the same objects for ever, so that only the last one
 * has to be drawn again. How the text was cut on its way changes nothing: blocks begin at whole lines.
 */
export class BlockReader {
  private readonly finished: Block[] = [];
  private line = "";
  private lines: string[] = [];
  private size = 0;
  private isBehindBlank = false;
  private fence: { indent: number; mark: string; language: string } | undefined;
  private pieces: string[] = [];

  /** `isPlain`: it is no Markdown but one text without an end, in pieces like code. */
  constructor(isPlain = false) {
    if (isPlain) this.fence = { indent: 0, mark: "", language: "" };
  }

  append(text: string): void {
    let from = 0;
    while (from < text.length) {
      const newline = text.indexOf("\n", from);
      const end = newline < 0 ? text.length : newline;
      const room = MOST_CHARACTERS - this.line.length;
      if (end - from > room) {
        from = this.cut(text, from, room);
        continue;
      }
      this.line += text.slice(from, end);
      if (newline >= 0) this.endLine();
      from = end + 1;
    }
  }

  /** Finished blocks, and the one that is still open. */
  blocks(): readonly Block[] {
    const open = this.openBlock();
    return open ? [...this.finished, open] : [...this.finished];
  }

  /** A line without an end: its beginning becomes a block, or a piece of code. Returns where to go on. */
  private cut(text: string, from: number, room: number): number {
    const isHalf = (at: number) => at > 0 && text.charCodeAt(at - 1) >> 10 === 0x36;
    const end = isHalf(from + room) ? from + room - 1 : from + room;
    this.line += text.slice(from, end);
    if (this.fence) {
      this.takeCode(this.line);
      this.endPiece();
    } else {
      this.takeProse(this.line);
      this.endProse();
    }
    this.line = "";
    return end;
  }

  private endLine(): void {
    const line = this.line.endsWith("\r") ? this.line.slice(0, -1) : this.line;
    this.line = "";
    if (this.fence) this.codeLine(line);
    else this.proseLine(line);
  }

  private codeLine(line: string): void {
    const fence = this.fence;
    if (!fence) return;
    if (closes(line, fence.mark)) {
      this.finished.push({ kind: "code", language: fence.language, pieces: this.allPieces(), isClosed: true });
      this.fence = undefined;
      this.pieces = [];
      this.clear();
      return;
    }
    this.takeCode(`${withoutIndent(line, fence.indent)}\n`);
    if (this.lines.length >= MOST_LINES_OF_PIECE || this.size >= MOST_OF_PIECE) this.endPiece();
  }

  private proseLine(line: string): void {
    const opened = FENCE.exec(line);
    if (opened && !(opened[2]?.startsWith("`") && opened[3]?.includes("`"))) {
      this.endProse();
      const language = (opened[3] ?? "").trim().split(/\s/)[0] ?? "";
      this.fence = { indent: opened[1]?.length ?? 0, mark: opened[2] ?? "", language };
      return;
    }
    const isBlank = line.trim() === "";
    if (this.beginsBlock(line, isBlank) || this.size + line.length > MOST_CHARACTERS) this.endProse();
    this.takeProse(`${line}\n`);
    this.isBehindBlank = isBlank;
  }

  /** A line behind a blank one begins a block, unless it goes on with what stands before: a list, an indented part. */
  private beginsBlock(line: string, isBlank: boolean): boolean {
    if (!this.isBehindBlank || isBlank || /^(?: {2}|\t)/.test(line)) return false;
    return !(LIST_ITEM.test(line) && LIST_ITEM.test(this.lines.find((one) => one.trim() !== "") ?? ""));
  }

  private takeProse(text: string): void {
    this.lines.push(text);
    this.size += text.length;
  }

  private takeCode(text: string): void {
    this.lines.push(text);
    this.size += text.length;
  }

  private endPiece(): void {
    this.pieces.push(this.lines.join(""));
    this.clear();
  }

  private endProse(): void {
    const source = this.lines.join("");
    if (source.trim() !== "") this.finished.push({ kind: "prose", source });
    this.clear();
  }

  private clear(): void {
    this.lines = [];
    this.size = 0;
    this.isBehindBlank = false;
  }

  private allPieces(rest = ""): string[] {
    const last = this.lines.join("") + rest;
    return last === "" ? [...this.pieces] : [...this.pieces, last];
  }

  private openBlock(): Block | undefined {
    if (this.fence) {
      const rest = withoutIndent(this.line, this.fence.indent);
      return { kind: "code", language: this.fence.language, pieces: this.allPieces(rest), isClosed: false };
    }
    const source = this.lines.join("") + this.line;
    return source.trim() === "" ? undefined : { kind: "prose", source };
  }
}

/** The blocks of a whole answer. */
export function blocksOf(text: string, isPlain = false): readonly Block[] {
  const reader = new BlockReader(isPlain);
  reader.append(text);
  return reader.blocks();
}

/** Code as somebody copies it. */
export function codeOf(block: CodeBlock): string {
  return block.pieces.join("");
}

function closes(line: string, mark: string): boolean {
  if (mark === "") return false;
  const found = line.trim();
  const indent = line.length - line.trimStart().length;
  return indent <= 3 && found.length >= mark.length && found === mark.charAt(0).repeat(found.length);
}

function withoutIndent(line: string, indent: number): string {
  let from = 0;
  while (from < indent && line.charAt(from) === " ") from++;
  return line.slice(from);
}
