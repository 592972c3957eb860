import { GatewayError } from "./gateway";

/** Characters of one event. What never ends would fill the memory, whoever sends it. */
const MOST_OF_AN_EVENT = 4 << 20;

/** One event of a stream: its name (`message` without one) and its data. */
export interface StreamedEvent {
  readonly name: string;
  readonly data: string;
}

/**
 * Events of a response, as they come. A stream that ends within an event ends without it: half an event is none.
 * Throws GatewayError where an event is too long.
 *
 * Source of the format: HTML standard, server-sent events.
 */
export async function* eventsOf(response: Response): AsyncGenerator<StreamedEvent> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r\n\r\n|\n\n|\r\r/);
      rest = blocks.pop() ?? "";
      if (rest.length > MOST_OF_AN_EVENT) {
        throw new GatewayError("the gateway's answer is longer than one can be", response.status, "malformed");
      }
      for (const block of blocks) {
        const event = eventOf(block);
        if (event) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function eventOf(block: string): StreamedEvent | undefined {
  let name = "message";
  const data: string[] = [];
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return data.length > 0 ? { name, data: data.join("\n") } : undefined;
}
