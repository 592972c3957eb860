/** A wallet as EIP-1193 has it. */
export interface Provider {
  request(asked: { method: string; params?: readonly unknown[] | object }): Promise<unknown>;
  on?(event: string, listener: (...said: never[]) => void): unknown;
  removeListener?(event: string, listener: (...said: never[]) => void): unknown;
}

/** Why a wallet did not do what it was asked for. What each means in words stands in `wallet/words.ts`. */
export type RefusalKind =
  | "rejected"
  | "pending"
  | "unauthorised"
  | "unsupported"
  | "disconnected"
  | "unknownChain"
  | "wrongChain"
  | "otherAccount"
  | "noRpcUrl"
  | "noContract"
  | "noFunds"
  | "failed";

/** A wallet, or the chain behind it, refused. `detail` is its own text: shown as text, and short. */
export class WalletRefusal extends Error {
  override name = "WalletRefusal";
  constructor(
    readonly kind: RefusalKind,
    readonly detail = "",
    /** What a reverted call gave back, hex. */
    readonly data?: `0x${string}`,
  ) {
    super(detail || kind);
  }
}

const KINDS: Readonly<Record<number, RefusalKind>> = {
  4001: "rejected",
  4100: "unauthorised",
  4200: "unsupported",
  4900: "disconnected",
  4901: "disconnected",
  4902: "unknownChain",
  [-32002]: "pending",
  [-32601]: "unsupported",
};
const LONGEST_DETAIL = 300;

/** Ask a wallet. Throws WalletRefusal and nothing else. */
export async function request<Answer>(
  provider: Provider,
  method: string,
  params: readonly unknown[] = [],
): Promise<Answer> {
  try {
    return (await provider.request({ method, params })) as Answer;
  } catch (error) {
    throw refusalOf(error);
  }
}

/** What a thrown thing means: wallets wrap the codes of EIP-1193 and EIP-1474 in one another. */
export function refusalOf(error: unknown): WalletRefusal {
  if (error instanceof WalletRefusal) return error;
  const layers = layersOf(error);
  const data = layers.map((one) => one["data"]).find(isHex);
  const detail = String(layers.map((one) => one["message"]).find((said) => typeof said === "string") ?? "");
  const shown = detail.slice(0, LONGEST_DETAIL);
  for (const layer of layers) {
    const kind = KINDS[Number(layer["code"])];
    if (kind) return new WalletRefusal(kind, shown, data);
  }
  if (/insufficient funds/i.test(detail)) return new WalletRefusal("noFunds", shown, data);
  return new WalletRefusal("failed", shown, data);
}

function layersOf(error: unknown): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = [];
  const waiting: unknown[] = [error];
  while (waiting.length > 0 && found.length < 8) {
    const one = waiting.shift();
    if (typeof one !== "object" || one === null) continue;
    const layer = one as Record<string, unknown>;
    found.push(layer);
    waiting.push(layer["data"], layer["originalError"], layer["cause"], layer["error"], layer["info"]);
  }
  return found;
}

function isHex(value: unknown): value is `0x${string}` {
  return typeof value === "string" && /^0x([0-9a-fA-F]{2}){4,}$/.test(value);
}
