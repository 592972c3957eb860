import {
  decodeErrorResult,
  decodeFunctionResult,
  encodeFunctionData,
  type Abi,
  type Address,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  type Hex,
} from "viem";
import { request, WalletRefusal, type Provider } from "./provider";

type Mutability = "pure" | "view" | "nonpayable" | "payable";

/** One call of a contract. `value` in wei. */
export interface ContractCall<
  Used extends Abi = Abi,
  Name extends ContractFunctionName<Used> = ContractFunctionName<Used>,
> {
  readonly address: Address;
  readonly abi: Used;
  readonly functionName: Name;
  readonly args?: ContractFunctionArgs<Used, Mutability, Name>;
  readonly value?: bigint;
}

/** What a contract answers, read through the wallet. Throws WalletRefusal; `noContract` where nothing answers. */
export async function read<const Used extends Abi, Name extends ContractFunctionName<Used, "pure" | "view">>(
  provider: Provider,
  call: ContractCall<Used, Name>,
): Promise<ContractFunctionReturnType<Used, "pure" | "view", Name>> {
  const asked = { to: call.address, data: dataOf(call) };
  const answer = await request<Hex>(provider, "eth_call", [asked, "latest"]);
  // INVARIANT: an address without code answers nothing, and nothing is no zero.
  if (answer === "0x") throw new WalletRefusal("noContract", call.address);
  const { abi, functionName } = call;
  try {
    // The compiler cannot follow viem's conditional types through our own parameters; the signature above is theirs.
    return decodeFunctionResult({ abi, functionName, data: answer } as never) as ContractFunctionReturnType<
      Used,
      "pure" | "view",
      Name
    >;
  } catch {
    throw new WalletRefusal("noContract", call.address);
  }
}

/** The call as bytes. */
export function dataOf<const Used extends Abi, Name extends ContractFunctionName<Used>>(
  call: ContractCall<Used, Name>,
): Hex {
  const { abi, functionName, args } = call;
  return encodeFunctionData({ abi, functionName, args } as never);
}

/** The contract's reason for a refusal: the error's name and its values. None where it gave none that is known. */
export interface Reason {
  readonly name: string;
  readonly values: readonly unknown[];
}

export function reasonOf(abi: Abi, error: unknown): Reason | undefined {
  if (!(error instanceof WalletRefusal) || !error.data) return undefined;
  try {
    const { errorName, args } = decodeErrorResult({ abi, data: error.data });
    return { name: errorName, values: args ?? [] };
  } catch {
    return undefined;
  }
}

/** A block: number, hash, and Unix seconds. Null where there is none. */
export interface Block {
  readonly number: number;
  readonly hash: Hex;
  readonly timestamp: number;
}

export async function blockAt(provider: Provider, which: number | "latest"): Promise<Block | undefined> {
  const name = which === "latest" ? which : hexOf(which);
  const found = await request<{ number: Hex; hash: Hex; timestamp: Hex } | null>(provider, "eth_getBlockByNumber", [
    name,
    false,
  ]);
  if (!found) return undefined;
  return { number: Number(found.number), hash: found.hash, timestamp: Number(found.timestamp) };
}

export async function balanceOf(provider: Provider, account: Address): Promise<bigint> {
  return BigInt(await request<Hex>(provider, "eth_getBalance", [account, "latest"]));
}

export function hexOf(value: number | bigint): Hex {
  return `0x${value.toString(16)}`;
}
