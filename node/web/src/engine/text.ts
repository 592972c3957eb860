/** What a `tokenizer.json` writes for tokens, where it is a byte-level one. */
export interface Codec {
  /** The text of tokens without special ones; undecodable bytes become U+FFFD. */
  decode(tokens: readonly number[]): string;
  /** The same with special tokens by their names. */
  written(tokens: readonly number[]): string;
  /** Whether a token is a control token, such as the end of an answer. */
  isSpecial(token: number): boolean;
}

/** The codec of a tokenizer that decodes bytes; none for one of another kind, or for what is no tokenizer. */
export function byteLevelCodec(text: string): Codec | undefined {
  try {
    const { decoder, model, added_tokens: added } = JSON.parse(text) as Record<string, any>;
    if (kindsOf(decoder).join() !== "ByteLevel" || typeof model?.vocab !== "object") return undefined;
    const names = new Map(
      Object.entries(model.vocab as Record<string, unknown>).map(([name, id]) => [Number(id), name]),
    );
    const special = new Set<number>();
    for (const { id, content, special: isSpecial } of (added ?? []) as Record<string, unknown>[]) {
      names.set(Number(id), String(content));
      if (isSpecial === true) special.add(Number(id));
    }
    return codecOf(names, special);
  } catch {
    return undefined;
  }
}

function codecOf(names: ReadonlyMap<number, string>, special: ReadonlySet<number>): Codec {
  const textOf = (tokens: readonly number[]): string => {
    const bytes = tokens.flatMap((token) => bytesOf(names.get(token) ?? ""));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  };
  const isSpecial = (token: number): boolean => special.has(token);
  return { decode: (tokens) => textOf(tokens.filter((token) => !isSpecial(token))), written: textOf, isSpecial };
}

/** Types of a decoder's steps, in order. */
function kindsOf(decoder: any): string[] {
  if (decoder?.type === "Sequence") return (decoder.decoders as unknown[]).flatMap(kindsOf);
  return decoder ? [String(decoder.type)] : [];
}

function bytesOf(name: string): number[] {
  const bytes = [...name].map((character) => BYTES.get(character));
  // A token that was added as it is written has characters that stand for no byte.
  return bytes.every((byte) => byte !== undefined) ? bytes : [...new TextEncoder().encode(name)];
}

/** The byte that each character of a byte-level vocabulary stands for: printable ones stand for themselves. */
const BYTES: ReadonlyMap<string, number> = byteAlphabet();

function byteAlphabet(): Map<string, number> {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte < 0xad) || byte >= 0xae;
  const found = new Map<string, number>();
  let other = 0x100;
  for (let byte = 0; byte < 0x100; byte++) found.set(String.fromCharCode(isPrintable(byte) ? byte : other++), byte);
  return found;
}

/** How the text that was shown differs from the one that was judged; none where it is that. `stops` end a text. */
export function textDifference(judged: string, shown: string, stops: readonly string[]): string | undefined {
  const ends = stops.map((stop) => judged.indexOf(stop)).filter((at) => at >= 0);
  const expected = judged.slice(0, Math.min(judged.length, ...ends));
  if (expected === shown) return undefined;
  let at = 0;
  while (at < Math.min(expected.length, shown.length) && expected[at] === shown[at]) at++;
  return `the text that was shown differs from the one that was judged from character ${at} on`;
}
