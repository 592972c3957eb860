import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { network } from "./network";

/** A gateway that stands between the page and the real one, and can fail or lie as gateways and cables do. */
export interface BadGateway {
  readonly address: string;
  /** Hold the next stream up once so many events have passed. */
  holdAfter(events: number): void;
  /** Break off what is held up. Apart, as a browser drops what it has not read when a connection breaks. */
  breakOff(): void;
  /** Change what passes in the next stream. */
  alter(change: (text: string) => string): void;
  /** Answer the next question by these pieces of an event stream, in the gateway's place. */
  answerWith(pieces: AsyncIterable<string>): void;
  /** Resolves when the last of these pieces was sent. */
  answered(): Promise<void>;
  close(): Promise<void>;
}

export async function badGateway(): Promise<BadGateway> {
  let eventsLeft: number | undefined;
  let change: ((text: string) => string) | undefined;
  let held: ServerResponse | undefined;
  let own: AsyncIterable<string> | undefined;
  let tell: () => void = () => undefined;
  let sent = Promise.resolve();
  const server = createServer((asked, answer) => {
    const isStream = asked.method === "POST" && (asked.url ?? "").startsWith("/v1/completions");
    if (isStream && own) {
      void send(answer, own).then(tell);
      own = undefined;
      return;
    }
    const limit = isStream ? eventsLeft : undefined;
    const altered = isStream ? change : undefined;
    if (isStream) eventsLeft = change = undefined;
    if (limit !== undefined) held = answer;
    forward(asked, answer, limit, altered);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    holdAfter: (events) => (eventsLeft = events),
    breakOff: () => held?.destroy(),
    alter: (made) => (change = made),
    answerWith: (pieces) => {
      own = pieces;
      sent = new Promise((done) => (tell = done));
    },
    answered: () => sent,
    close: () =>
      new Promise((closed) => {
        server.closeAllConnections();
        server.close(() => closed());
      }),
  };
}

async function send(answer: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
  answer.writeHead(200, {
    "content-type": "text/event-stream",
    "x-nexus-answer-id": "0123456789abcdef0123456789abcdef",
  });
  for await (const piece of pieces) answer.write(piece);
  answer.end();
}

function forward(
  asked: IncomingMessage,
  answer: ServerResponse,
  limit: number | undefined,
  change: ((text: string) => string) | undefined,
): void {
  const { host: _, ...headers } = asked.headers;
  const real = request(`${network().address}${asked.url}`, { method: asked.method ?? "GET", headers }, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers);
    let events = 0;
    response.on("data", (data: Buffer) => {
      events += data.toString().split("\n\n").length - 1;
      const isLast = limit !== undefined && events >= limit;
      answer.write(change ? change(data.toString()) : data);
      if (isLast) response.pause();
    });
    response.on("end", () => answer.end());
    response.on("error", () => answer.destroy());
  });
  real.on("error", () => answer.destroy());
  answer.on("close", () => real.destroy());
  asked.pipe(real);
}
