import { expect, it } from "vitest";
import { chainAtHand } from "../../../src/pages/audit/chain_at_hand";

const announce = (provider: unknown) =>
  dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info: {}, provider } }));

it("is the chain of the first wallet that answers, and follows it to another", async () => {
  expect(chainAtHand()).toBeUndefined();
  announce(undefined);
  announce({ request: async () => Promise.reject(new Error("locked")) });
  let changed: (chainId: unknown) => void = () => undefined;
  const asked: unknown[] = [];
  announce({
    request: async (what: { method: string }) => {
      asked.push(what.method);
      return "0x7a69";
    },
    on: (_: string, listener: (chainId: unknown) => void) => (changed = listener),
  });
  await new Promise((resolve) => setTimeout(resolve));
  expect(chainAtHand()?.chainId).toBe(31337);
  expect(await chainAtHand()?.ask("eth_call", [])).toBe("0x7a69");
  expect(asked).toEqual(["eth_chainId", "eth_call"]);
  changed("0x1");
  expect(chainAtHand()?.chainId).toBe(1);
});
