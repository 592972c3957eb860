import type { Provider } from "../../../src/chain/provider";
import type { FoundWallet } from "../../../src/wallet/discovery";

type Answer = unknown | ((params: readonly unknown[]) => unknown);

/** An EIP-1193 provider whose answers a test sets by method; what it was asked stands in `asked`. */
export class FakeWallet implements Provider {
  readonly asked: { method: string; params: readonly unknown[] }[] = [];
  private readonly listeners = new Map<string, Set<(said: unknown) => void>>();

  constructor(readonly answers: Record<string, Answer>) {}

  async request({ method, params }: { method: string; params?: readonly unknown[] | object }): Promise<unknown> {
    const given = (params ?? []) as readonly unknown[];
    this.asked.push({ method, params: given });
    if (!(method in this.answers)) throw rpcError(-32601, `no ${method}`);
    const answer = this.answers[method];
    return typeof answer === "function" ? await (answer as (given: readonly unknown[]) => unknown)(given) : answer;
  }

  on(event: string, listener: (said: never) => void): void {
    const found = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, found.add(listener as (said: unknown) => void));
  }

  removeListener(event: string, listener: (said: never) => void): void {
    this.listeners.get(event)?.delete(listener as (said: unknown) => void);
  }

  emit(event: string, said: unknown): void {
    for (const listener of this.listeners.get(event) ?? []) listener(said);
  }

  listening(): number {
    return [...this.listeners.values()].reduce((sum, found) => sum + found.size, 0);
  }

  methods(): string[] {
    return this.asked.map((one) => one.method);
  }
}

export function rpcError(code: number, message = "refused", data?: unknown): Error {
  return Object.assign(new Error(message), { code, ...(data === undefined ? {} : { data }) });
}

/** What throws when it is asked: a refusal as an answer. */
export function refuses(code: number, message?: string, data?: unknown): () => never {
  return () => {
    throw rpcError(code, message, data);
  };
}

export const ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
export const BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

export function found(provider: Provider, name = "Fake", rdns = "example.fake"): FoundWallet {
  return { id: `id-${name}`, name, rdns, provider };
}

/** Have a wallet announce itself, as an extension does. */
export function announce(provider: unknown, info: Record<string, unknown>): void {
  dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info, provider } }));
}
