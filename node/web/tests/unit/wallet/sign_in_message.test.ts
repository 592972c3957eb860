import { describe, expect, test } from "vitest";
import { signInMessage, SignInRefusal, termsOf } from "../../../src/wallet/sign_in_message";
import { ALICE } from "./fake_wallet";

const HERE = { host: "gateway.example:8443", origin: "https://gateway.example:8443" };
const NOW = new Date("2026-09-21T13:33:20Z");
const SAID = {
  nonce: "0123456789abcdef",
  domain: HERE.host,
  uri: HERE.origin,
  chain_id: 31337,
  version: "1",
  expires_in: 600,
};
const made = (changes: object, chain = 31337) =>
  signInMessage(termsOf({ ...SAID, ...changes }), ALICE, chain, HERE, NOW);

function faultOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SignInRefusal) return error.fault;
    throw error;
  }
  return "none";
}

describe("the message to sign", () => {
  test("is EIP-4361 to the letter, with the gateway's time", () => {
    expect(made({})).toBe(
      [
        "gateway.example:8443 wants you to sign in with your Ethereum account:",
        ALICE,
        "",
        "Sign in to this gateway. It costs nothing and moves no money.",
        "",
        "URI: https://gateway.example:8443",
        "Version: 1",
        "Chain ID: 31337",
        "Nonce: 0123456789abcdef",
        "Issued At: 2026-09-21T13:33:20.000Z",
      ].join("\n"),
    );
  });

  test.each(["elsewhere.example", "gateway.example", "gateway.example:8443.evil.example", "GATEWAY.example:8443", ""])(
    "is not made for the domain %s: phishing",
    (domain) => expect(faultOf(() => made({ domain }))).toBe("otherDomain"),
  );

  test.each([
    "https://elsewhere.example",
    "http://gateway.example:8443",
    "https://gateway.example",
    "https://gateway.example:8443@elsewhere.example",
    "https://gateway.example:8443\n",
    "https://elsewhere.example\\@gateway.example:8443",
    "javascript:alert(1)",
    "//gateway.example:8443",
    "",
  ])("is not made for the address %j: phishing", (uri) => expect(faultOf(() => made({ uri }))).toBe("otherUri"));

  test("is not made where the gateway contradicts itself about its chain", () => {
    expect(faultOf(() => made({}, 1))).toBe("otherChain");
  });

  test.each([
    undefined,
    null,
    "text",
    {},
    { ...SAID, nonce: "short" },
    { ...SAID, nonce: "has spaces in it" },
    { ...SAID, nonce: "line\nURI: https://evil.example" },
    { ...SAID, nonce: 5 },
    { ...SAID, domain: 5 },
    { ...SAID, chain_id: "1" },
    { ...SAID, version: "2" },
  ])("is not made from %o", (said) => expect(faultOf(() => termsOf(said))).toBe("malformed"));
});
