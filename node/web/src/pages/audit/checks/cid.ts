import { sha256 } from "@noble/hashes/sha2.js";

/**
 * Addresses of files as IPFS writes them: CIDv1, SHA-256, 256 KiB raw leaves under dag-pb nodes of at most 174 links.
 * Bit for bit as `nexus_chain/content/unixfs.py`, whose vectors the tests take.
 */
const CHUNK_BYTES = 256 * 1024;
const LINKS_PER_NODE = 174;
const RAW = 0x55;
const DAG_PB = 0x70;
const FILE = 2;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

interface Link {
  readonly cid: Uint8Array;
  readonly fileBytes: number;
  readonly totalBytes: number;
}

/** The address of a file with these bytes. */
export function cidOf(data: Uint8Array, chunkBytes = CHUNK_BYTES): string {
  let level: Link[] = [];
  for (let at = 0; at < data.length || level.length === 0; at += chunkBytes) {
    const chunk = data.subarray(at, at + chunkBytes);
    level.push({ cid: address(RAW, chunk), fileBytes: chunk.length, totalBytes: chunk.length });
  }
  while (level.length > 1) level = grouped(level).map(parentOf);
  return textOf(level[0]!.cid);
}

/** Whether a text is an address of this kind in its one spelling. */
export function isCid(text: string): boolean {
  return /^b[a-z2-7]{58}$/.test(text) && (text.startsWith("bafkrei") || text.startsWith("bafybei"));
}

function grouped(links: readonly Link[]): Link[][] {
  const groups: Link[][] = [];
  for (let at = 0; at < links.length; at += LINKS_PER_NODE) groups.push(links.slice(at, at + LINKS_PER_NODE));
  return groups;
}

function parentOf(links: readonly Link[]): Link {
  const fileBytes = links.reduce((sum, link) => sum + link.fileBytes, 0);
  const record = joined([
    [1 << 3, FILE, 3 << 3],
    varint(fileBytes),
    ...links.flatMap((link) => [[4 << 3], varint(link.fileBytes)]),
  ]);
  const children = links.map((link) =>
    field(2, joined([field(1, link.cid), field(2, []), [3 << 3], varint(link.totalBytes)])),
  );
  const data = joined([...children, field(1, record)]);
  const below = links.reduce((sum, link) => sum + link.totalBytes, 0);
  return { cid: address(DAG_PB, data), fileBytes, totalBytes: data.length + below };
}

function address(codec: number, block: Uint8Array): Uint8Array {
  return joined([[1, codec, 0x12, 0x20], sha256(block)]);
}

function field(number: number, value: ArrayLike<number>): Uint8Array {
  return joined([[(number << 3) | 2], varint(value.length), value]);
}

/** Unsigned LEB128. Division, as shifts end at 32 bits. */
function varint(value: number): number[] {
  const out: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) out.push((value % 0x80) | 0x80);
  return [...out, value];
}

function joined(parts: readonly ArrayLike<number>[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function textOf(bytes: Uint8Array): string {
  let text = "b";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(held >> (bits - 5)) & 31];
    held &= 0xff;
  }
  return bits > 0 ? text + ALPHABET[(held << (5 - bits)) & 31] : text;
}
