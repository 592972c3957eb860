import type { Page } from "@playwright/test";
import { createWalletClient, http, type Hex } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { network } from "./network";

const ACCOUNTS = 3;
const PLAY_WEI = `0x${(10n ** 19n).toString(16)}`;

type Answer = { result: unknown } | { error: { code: number; message: string; data?: unknown } };
type Request = { method: string; params: readonly never[] };

/**
 * A wallet that announces itself on a page (EIP-6963), signs with accounts of its own, and fails as a test says. Its
 * accounts are new each time and have play money, so no test finds what another has left.
 */
export class InjectedWallet {
  private readonly accounts = Array.from({ length: ACCOUNTS }, () => privateKeyToAccount(generatePrivateKey()));
  /** Which of the accounts acts. */
  private chosen = 0;
  chainId = 31337;
  knownChains = new Set([31337]);
  /** Code by method: thrown once each. */
  readonly failing = new Map<string, number>();
  /** Awaited before a method is answered: a window that stays open. */
  readonly held = new Map<string, Promise<void>>();
  /** Answers that stand for the chain's: its blocks are shared by all tests, and none is taken back. */
  readonly instead = new Map<string, unknown>();
  readonly asked: string[] = [];

  private constructor(
    private readonly page: Page,
    readonly name: string,
  ) {}

  static async on(page: Page, name = "Test Wallet"): Promise<InjectedWallet> {
    const wallet = new InjectedWallet(page, name);
    for (const { address } of wallet.accounts) await forwarded("anvil_setBalance", [address, PLAY_WEI]);
    const door = `walletDoor${name.replace(/\W/g, "")}`;
    await page.exposeFunction(door, (asked: Request) => wallet.answered(asked));
    await page.addInitScript(announceWallet, { name, door });
    return wallet;
  }

  get account() {
    const found = this.accounts[this.chosen];
    if (!found) throw new Error(`the wallet has no account ${this.chosen}`);
    return found;
  }

  async chooseAccount(index: number): Promise<void> {
    this.chosen = index;
    await this.emit("accountsChanged", [this.account.address]);
  }

  async chooseChain(chainId: number): Promise<void> {
    this.chainId = chainId;
    await this.emit("chainChanged", `0x${chainId.toString(16)}`);
  }

  private emit(event: string, said: unknown): Promise<void> {
    const given = { name: this.name, event, said };
    return this.page.evaluate((one) => void dispatchEvent(new CustomEvent("test-wallet", { detail: one })), given);
  }

  private async answered({ method, params }: Request): Promise<Answer> {
    this.asked.push(method);
    const code = this.failing.get(method);
    if (code !== undefined) {
      this.failing.delete(method);
      return { error: { code, message: `refused with ${code}` } };
    }
    await this.held.get(method);
    if (this.instead.has(method)) return { result: this.instead.get(method) };
    try {
      return await this.done(method, params);
    } catch (error) {
      return { error: { code: -32603, message: String(error) } };
    }
  }

  private async done(method: string, params: readonly never[]): Promise<Answer> {
    const [first] = params as readonly unknown[];
    switch (method) {
      case "eth_requestAccounts":
      case "eth_accounts":
        return { result: [this.account.address] };
      case "eth_chainId":
        return { result: `0x${this.chainId.toString(16)}` };
      case "personal_sign":
        return { result: await this.account.signMessage({ message: { raw: first as Hex } }) };
      case "wallet_switchEthereumChain": {
        const wanted = Number((first as { chainId: string }).chainId);
        if (!this.knownChains.has(wanted)) return { error: { code: 4902, message: "Unrecognized chain ID" } };
        await this.chooseChain(wanted);
        return { result: null };
      }
      case "wallet_addEthereumChain":
        this.knownChains.add(Number((first as { chainId: string }).chainId));
        return { result: null };
      case "eth_sendTransaction": {
        const { to, data, value, gas } = first as { to: Hex; data: Hex; value: Hex; gas: Hex };
        const client = createWalletClient({ account: this.account, chain: foundry, transport: http(network().rpc) });
        return { result: await client.sendTransaction({ to, data, value: BigInt(value), gas: BigInt(gas) }) };
      }
      default:
        return forwarded(method, params);
    }
  }
}

/** What the chain answers. */
async function forwarded(method: string, params: readonly unknown[]): Promise<Answer> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const headers = { "content-type": "application/json" };
  return (await (await fetch(network().rpc, { method: "POST", headers, body })).json()) as Answer;
}

/** Runs in the page, before its own scripts. */
function announceWallet({ name, door }: { name: string; door: string }): void {
  const listeners: Record<string, Set<(said: unknown) => void>> = {};
  const provider = {
    async request({ method, params }: { method: string; params?: unknown }) {
      const ask = (globalThis as unknown as Record<string, (asked: unknown) => Promise<never>>)[door];
      const { result, error } = (await ask?.({ method, params: params ?? [] })) as unknown as Record<string, unknown>;
      if (error) throw Object.assign(new Error(), error);
      return result;
    },
    on: (event: string, listener: (said: unknown) => void) => void (listeners[event] ??= new Set()).add(listener),
    removeListener: (event: string, listener: (said: unknown) => void) => void listeners[event]?.delete(listener),
  };
  addEventListener("test-wallet", (event) => {
    const { name: whose, event: what, said } = (event as CustomEvent).detail;
    if (whose === name) listeners[what]?.forEach((listener) => listener(said));
  });
  const info = { uuid: `uuid-${name}`, name, rdns: `example.${door.toLowerCase()}`, icon: "data:image/svg+xml," };
  const announce = () =>
    void dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
}
