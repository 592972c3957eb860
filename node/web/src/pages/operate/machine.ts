import { getAddress, isAddress, type Address } from "viem";
import { kept } from "../../kept";

const KEY = "nexus.machine.";

/** The wallet of a node's machine, as its operator pasted it here. None where nobody did. */
export function machineWallet(node: Address): Address | undefined {
  const found = kept.read(KEY + node);
  return found !== undefined && isAddress(found, { strict: false }) ? getAddress(found) : undefined;
}

export function keepMachineWallet(node: Address, wallet: Address): void {
  kept.write(KEY + node, wallet);
}
