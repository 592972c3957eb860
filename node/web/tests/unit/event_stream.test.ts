import { expect, test } from "vitest";
import { eventsOf, type StreamedEvent } from "../../src/api/event_stream";

async function read(pieces: Uint8Array[]): Promise<StreamedEvent[]> {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      pieces.forEach((piece) => controller.enqueue(piece));
      controller.close();
    },
  });
  const found: StreamedEvent[] = [];
  for await (const event of eventsOf({ body } as Response)) found.push(event);
  return found;
}

const TEXT =
  'data: {"a":"한"}\n\nevent: moved\r\ndata: one\r\ndata: two\r\n\r\n: a comment\n\nid: 7\n\ndata: [DONE]\n\ndata: half';
const EVENTS = [
  { name: "message", data: '{"a":"한"}' },
  { name: "moved", data: "one\ntwo" },
  { name: "message", data: "[DONE]" },
];

test("an event that never ends does not fill the memory", async () => {
  const piece = new TextEncoder().encode("x".repeat(1 << 20));
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (++sent > 64) controller.close();
      controller.enqueue(piece);
    },
  });
  await expect(eventsOf({ body, status: 200 } as Response).next()).rejects.toMatchObject({ code: "malformed" });
  expect(sent).toBeLessThan(16);
});

test("events are the same however the network cuts them, and half an event is none", async () => {
  const bytes = new TextEncoder().encode(TEXT);
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
    expect(await read(pieces)).toEqual(EVENTS);
  }
});
