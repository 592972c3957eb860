import { computed, signal } from "@preact/signals";
import { getAddress, isAddress, type Address } from "viem";
import { request, WalletRefusal, type Provider } from "../chain/provider";
import { kept } from "../kept";
import { discoverWallets, wallets, type FoundWallet } from "./discovery";

/** A wallet that lets the page see an account. `chainId`: where the wallet is now. */
export interface Connection {
  readonly wallet: FoundWallet;
  readonly account: Address;
  readonly chainId: number;
}

const KEY = "nexus.wallet";
const held = signal<Connection | undefined>(undefined);
let forgetEvents = () => {};

/** The wallet in use; it follows the wallet's changes of account and chain. */
export const connection = computed(() => held.value);

/** Ask a wallet for an account: it shows its window. Throws WalletRefusal. */
export async function connect(wallet: FoundWallet): Promise<Connection> {
  return take(wallet, await request<unknown>(wallet.provider, "eth_requestAccounts"));
}

/** Go on with the wallet of the last visit, once it has announced itself, without a window. */
export function reconnect(): () => void {
  const before = kept.read(KEY);
  const undo = discoverWallets();
  if (before === undefined) return undo;
  const stop = wallets.subscribe((found) => {
    const known = found.find((one) => one.rdns === before);
    if (!known || held.value) return;
    void resume(known);
  });
  return () => {
    stop();
    undo();
  };
}

/** The page forgets the wallet. What the wallet remembers of the page is the wallet's business. */
export function disconnect(): void {
  drop();
  kept.remove(KEY);
}

function drop(): void {
  forgetEvents();
  forgetEvents = () => {};
  held.value = undefined;
}

/**
 * The account that acts now. Throws WalletRefusal `otherAccount` where the wallet has meanwhile turned to another than
 * `expected`: what somebody decided for one account is not done with another.
 */
export async function requireAccount(provider: Provider, expected: Address): Promise<void> {
  const [first] = accountsOf(await request<unknown>(provider, "eth_accounts"));
  if (first !== expected) throw new WalletRefusal("otherAccount", first ?? "");
}

async function resume(wallet: FoundWallet): Promise<void> {
  try {
    const accounts = await request<unknown>(wallet.provider, "eth_accounts");
    if (accountsOf(accounts).length > 0 && !held.value) await take(wallet, accounts);
  } catch {
    // The wallet is locked: the button connects it.
  }
}

async function take(wallet: FoundWallet, accounts: unknown): Promise<Connection> {
  const [account] = accountsOf(accounts);
  if (!account) throw new WalletRefusal("unauthorised");
  const chainId = Number(await request<string>(wallet.provider, "eth_chainId"));
  forgetEvents();
  const found = { wallet, account, chainId };
  held.value = found;
  kept.write(KEY, wallet.rdns);
  forgetEvents = follow(wallet);
  return found;
}

function follow(wallet: FoundWallet): () => void {
  const { provider } = wallet;
  const listeners: Record<string, (said: never) => void> = {
    accountsChanged: (said: unknown) => {
      const [account] = accountsOf(said);
      if (!account) disconnect();
      else change({ account });
    },
    chainChanged: (said: unknown) => change({ chainId: Number(said) }),
    // The wallet lost its chain: the next visit tries it again.
    disconnect: () => drop(),
  };
  for (const [event, listener] of Object.entries(listeners)) provider.on?.(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) provider.removeListener?.(event, listener);
  };
}

function change(changed: Partial<Connection>): void {
  if (held.value) held.value = { ...held.value, ...changed };
}

function accountsOf(said: unknown): Address[] {
  if (!Array.isArray(said)) return [];
  return said
    .filter((one): one is Address => typeof one === "string" && isAddress(one, { strict: false }))
    .map((one) => getAddress(one));
}
