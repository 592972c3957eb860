import type { Model } from "../../chain/documents";

/** A version as a buyer compares it. Figures that nobody knows are undefined: they come last, however one sorts. */
export interface Entry {
  readonly model: Model;
  /** Wei per token over all layers, as nodes ask them. */
  readonly price?: bigint | undefined;
  /** Milliseconds, of all segments together: the fastest node of each layer range that answers. */
  readonly latency?: number | undefined;
  /** Tokens per second, of this gateway's own answers. */
  readonly throughput?: number | undefined;
  /** 0 to 1: how often the nodes of the version answered this gateway. */
  readonly uptime?: number | undefined;
  /** Certified held-out accuracy, 0 to 1. */
  readonly accuracy?: number | undefined;
  /** Certified perplexity. */
  readonly perplexity?: number | undefined;
  /** Certified share of next tokens that were the likeliest. */
  readonly top1?: number | undefined;
  readonly nodes: number;
}

export const ORDERS = [
  "newest",
  "price",
  "latency",
  "throughput",
  "uptime",
  "accuracy",
  "perplexity",
  "top1",
  "nodes",
] as const;
export type Order = (typeof ORDERS)[number];

export interface Wanted {
  readonly text: string;
  readonly answering: boolean;
  readonly certified: boolean;
  readonly here: boolean;
}

export function entryOf(model: Model): Entry {
  const active = model.offers.filter((one) => one.active);
  const asked = active.reduce((sum, one) => sum + (one.uptime?.asked ?? 0), 0);
  const answered = active.reduce((sum, one) => sum + (one.uptime?.answered ?? 0), 0);
  const figures = model.certificate?.quality?.figures ?? {};
  const number = (name: string) => (figures[name] === undefined ? undefined : Number(figures[name]));
  const hits = number("top1_hits");
  const tokens = number("tokens");
  const pace = model.pace;
  return {
    model,
    price: model.wei_per_token === null ? undefined : BigInt(model.wei_per_token),
    latency: latencyOf(model),
    throughput: pace && pace.seconds > 0 ? pace.tokens / pace.seconds : undefined,
    uptime: asked > 0 ? answered / asked : undefined,
    accuracy: number("accuracy"),
    perplexity: number("perplexity") ?? number("perplexity_integer"),
    top1: hits !== undefined && tokens ? hits / tokens : undefined,
    nodes: active.length,
  };
}

/** Entries that are wanted, best first; equal ones stay newest first. */
export function chosen(entries: readonly Entry[], wanted: Wanted, order: Order): Entry[] {
  const text = wanted.text.trim().toLowerCase();
  const found = entries.filter(
    ({ model }) =>
      (!wanted.answering || model.answers) &&
      (!wanted.certified || (model.certificate?.quality != null && model.certificate.quality.problem === null)) &&
      (!wanted.here || model.names.length > 0) &&
      (text === "" || searched(model).some((one) => one.includes(text))),
  );
  const key = KEYS[order];
  if (!key) return found;
  return found.sort((a, b) => {
    const [first, second] = [key(a), key(b)];
    if (first === undefined || second === undefined) return Number(first === undefined) - Number(second === undefined);
    return first < second ? -1 : first > second ? 1 : 0;
  });
}

/** What is best comes first: the smaller key. */
const KEYS: Readonly<Record<Order, ((entry: Entry) => number | bigint | undefined) | undefined>> = {
  newest: undefined,
  price: paid,
  latency: (entry) => entry.latency,
  throughput: (entry) => negative(entry.throughput),
  uptime: (entry) => negative(entry.uptime),
  accuracy: (entry) => negative(entry.accuracy),
  perplexity: (entry) => entry.perplexity,
  top1: (entry) => negative(entry.top1),
  nodes: (entry) => -entry.nodes,
};

/** What a user pays, the publisher's share included, in ten-thousandths of a wei: compared to the last of them. */
function paid({ model, price }: Entry): bigint | undefined {
  return price === undefined ? undefined : price * BigInt(10_000 + model.share_basis_points);
}

function negative(value: number | undefined): number | undefined {
  return value === undefined ? undefined : -value;
}

function searched(model: Model): string[] {
  const quality = model.certificate?.quality;
  return [model.version, model.publisher, model.licence ?? "", quality?.name ?? "", ...model.names].map((one) =>
    one.toLowerCase(),
  );
}

/** Undefined where a layer range of the cheapest description has no measured node. */
function latencyOf(model: Model): number | undefined {
  const layers = model.record?.layers ?? 0;
  const best = new Map<number, number>([[0, 0]]);
  const measured = model.offers.filter((one) => one.active && one.online && one.latency_ms !== null);
  for (const one of [...measured].sort((a, b) => a.layer_start - b.layer_start || a.layer_end - b.layer_end)) {
    const before = best.get(one.layer_start);
    if (before === undefined) continue;
    const through = before + (one.latency_ms ?? 0);
    best.set(one.layer_end, Math.min(through, best.get(one.layer_end) ?? through));
  }
  return layers > 0 ? best.get(layers) : undefined;
}
