import { render } from "preact";
import { act } from "preact/test-utils";
import { beforeEach, describe, expect, test } from "vitest";
import { factsOf } from "../../../src/chain/network";
import { LeaveCard } from "../../../src/pages/operate/leave_card";
import { areSame, keepRegistry, keptRegistry, type NamedRegistry } from "../../../src/pages/operate/named_registry";
import { SetupCard } from "../../../src/pages/operate/setup_card";
import type { Standing } from "../../../src/pages/operate/standing";
import { ALICE, BOB, FakeWallet, found } from "../wallet/fake_wallet";

const REGISTRY = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const LIE = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc";
const NAMED: NamedRegistry = { chainId: 31337, registry: REGISTRY };
const here = { wallet: found(new FakeWallet({})), account: ALICE, chainId: 31337 } as const;

const factsWith = (registry: string, chain = 31337) =>
  factsOf({
    chain_id: chain,
    name: "Test",
    rpc_urls: [],
    currency: { name: "Ether", symbol: "ETH", decimals: 18 },
    contracts: { node_registry: registry, inference_market: REGISTRY, dispute_game: REGISTRY },
    block: 0,
    confirmations: 1,
    sign_in: true,
  });

const standing = (stake?: bigint): Standing => ({
  owed: { nodes: 0n, market: 0n, disputes: 0n },
  minimumStake: 10n,
  unbondingDelay: 60,
  receipts: { count: 0, committedAt: 0 },
  now: 0,
  ...(stake === undefined
    ? {}
    : {
        entry: {
          receiptKey: BOB,
          unbondableAfter: 0,
          convicted: false,
          stake,
          openGames: 0,
          tlsKeyHash: `0x${"ab".repeat(32)}`,
          endpoint: "node.example.org:7070",
        },
      }),
});

const identity = (changes: object) =>
  JSON.stringify({
    node: ALICE,
    wallet: BOB,
    receipt_key: BOB,
    tls_key_hash: `0x${"ab".repeat(32)}`,
    endpoint: "node.example.org:7070",
    chain_id: 31337,
    node_registry: REGISTRY.toLowerCase(),
    ...changes,
  });

async function shown(card: preact.ComponentChild): Promise<HTMLElement> {
  const place = document.createElement("div");
  document.body.replaceChildren(place);
  await act(() => render(card, place));
  return place;
}

const buttons = (page: HTMLElement) => [...page.querySelectorAll("button")].map((one) => one.textContent);
const setup = (facts: ReturnType<typeof factsOf>, pasted: string) => (
  <SetupCard here={here} facts={facts} standing={standing()} pasted={pasted} paste={() => undefined} />
);

describe("before a stake", () => {
  beforeEach(() => localStorage.clear());

  test("chain and registry of the gateway stand there written out, pasted or not", async () => {
    const page = await shown(setup(factsWith(REGISTRY), ""));
    expect(page.textContent).toContain(`chain 31337, registry ${REGISTRY}`);
    expect(buttons(page)).not.toContain("Register and stake");
  });

  test("a node that names the same contract may register", async () => {
    const page = await shown(setup(factsWith(REGISTRY), identity({})));
    expect(page.textContent).toContain("the same chain and registry");
    expect(buttons(page)).toContain("Register and stake");
  });

  test("a gateway that names a contract of its own is refused, in words that name both", async () => {
    const page = await shown(setup(factsWith(LIE), identity({})));
    const said = page.querySelector('[role="alert"]')?.textContent ?? "";
    expect(said).toContain(`This gateway names chain 31337, registry ${LIE}`);
    expect(said).toContain(`Your node names chain 31337, registry ${REGISTRY}`);
    expect(buttons(page)).not.toContain("Register and stake");
  });

  test("the same address on another chain is another contract", async () => {
    const page = await shown(setup(factsWith(REGISTRY, 1), identity({})));
    expect(page.querySelector('[role="alert"]')?.textContent).toContain(`names chain 1, registry ${REGISTRY}`);
    expect(buttons(page)).not.toContain("Register and stake");
  });

  test("a program too old to say it is to be brought up to date first", async () => {
    const page = await shown(setup(factsWith(REGISTRY), identity({ chain_id: undefined, node_registry: undefined })));
    expect(page.textContent).toContain("Your node has not said in which registry");
    expect(buttons(page)).not.toContain("Register and stake");
  });

  test.each([
    { chain_id: "31337" },
    { chain_id: 0 },
    { chain_id: undefined },
    { node_registry: undefined },
    { node_registry: "0x12" },
  ])("half a word is none: %o", async (changes) => {
    const page = await shown(setup(factsWith(REGISTRY), identity(changes)));
    expect(page.textContent).toContain("This is not what");
    expect(buttons(page)).not.toContain("Register and stake");
  });

  test.each([
    [NAMED, REGISTRY, true],
    [NAMED, LIE, false],
    [undefined, REGISTRY, false],
  ])("more stake goes where the node says, and nowhere else", async (named, registry, mayAdd) => {
    const card = <LeaveCard here={here} facts={factsWith(registry)} standing={standing(10n)} named={named} />;
    expect(buttons(await shown(card)).includes("Add stake")).toBe(mayAdd);
  });
});

describe("what a node said", () => {
  beforeEach(() => localStorage.clear());

  test("is kept for its account", () => {
    keepRegistry(ALICE, NAMED);
    expect(keptRegistry(ALICE)).toEqual(NAMED);
    expect(keptRegistry(BOB)).toBeUndefined();
  });

  test.each(["", "31337", `x ${REGISTRY}`, "31337 0x12"])("is not %j", (text) => {
    localStorage.setItem(`nexus.registry.${ALICE}`, text);
    expect(keptRegistry(ALICE)).toBeUndefined();
  });

  test("is compared with chain and address", () => {
    expect(areSame(NAMED, { ...NAMED })).toBe(true);
    expect(areSame(NAMED, { ...NAMED, chainId: 1 })).toBe(false);
    expect(areSame(NAMED, { ...NAMED, registry: LIE })).toBe(false);
  });
});
