import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { askJson } from "../../../src/api/gateway";
import type { DepositTerms, NetworkFacts } from "../../../src/chain/network";
import { loadModels, models } from "../../../src/pages/chat/models";
import { changeSetup } from "../../../src/pages/chat/desk";
import { ModelChoice } from "../../../src/pages/chat/setup/model_choice";
import type { Connection } from "../../../src/wallet/connection";
import { DepositForm } from "../../../src/wallet/deposit_form";
import { language, type Language } from "../../../src/words/language";

vi.mock("../../../src/api/gateway", async (original) => ({ ...(await original<object>()), askJson: vi.fn() }));
vi.mock("../../../src/wallet/sending", () => ({ costOf: vi.fn(async () => ({ wei: 21_000n })), send: vi.fn() }));

const HASH = `0x${"1".repeat(64)}`;
const ADDRESS = `0x${"2".repeat(40)}`;
const SHARED: [Language, string][] = [
  ["en", "5%"],
  ["pt", "5%"],
  ["ko", "5%"],
];

let place: HTMLElement;

/** A gateway with one model. */
function gateway(share: number, wei = "1000000000000") {
  vi.mocked(askJson).mockImplementation(async (path: string) =>
    path === "/v1/models"
      ? {
          data: [
            {
              id: "talker",
              max_model_len: 512,
              model_version: HASH,
              weights_root: HASH,
              wei_per_token: wei,
              share_basis_points: share,
            },
          ],
        }
      : { capabilities: ["completion", "chat"] },
  );
}

async function choice(): Promise<string> {
  await loadModels();
  changeSetup({ models: ["talker"] });
  act(() => render(<ModelChoice />, place));
  return place.querySelector(".about")?.textContent ?? "";
}

async function deposit(): Promise<string> {
  const terms = { contract: ADDRESS, operator: ADDRESS, notice: 60 } as unknown as DepositTerms;
  const here = { wallet: { provider: {} }, account: ADDRESS, chainId: 1 } as unknown as Connection;
  const facts = { confirmations: 1 } as unknown as NetworkFacts;
  act(() => render(<DepositForm here={here} facts={facts} terms={terms} isFirst={false} />, place));
  const means = () => place.querySelector("#deposit-means")?.textContent ?? "";
  await vi.waitFor(() => expect(means()).toContain("talker"));
  return means();
}

beforeEach(() => {
  place = document.createElement("div");
  document.body.replaceChildren(place);
});
afterEach(() => {
  render(null, place);
  language.value = "en";
  models.value = undefined;
});

test.each(SHARED)("the choice of a model says what its user pays, and the share in it: %s", async (spoken, rate) => {
  language.value = spoken;
  gateway(500, "1000000000");
  const said = await choice();
  expect(said).toMatch(/1[.,]05 gwei/);
  expect(said).toContain(rate);
});

test("the share is part of the price", async () => {
  gateway(2_000, "100");
  expect(await choice()).toContain("120 wei a token (with 20% for its publisher on top of what nodes ask)");
});

test("a price without a share says nothing of one", async () => {
  gateway(0);
  expect(await choice()).toBe("0.000001 ETH a token");
});

test.each(SHARED)("a deposit buys the tokens that it pays with their share: %s", async (spoken, rate) => {
  language.value = spoken;
  gateway(500);
  const said = await deposit();
  expect(said).toMatch(/9[.,]523/); // 0.01 ETH / (1.05 * 10^12 wei)
  expect(said).toContain(rate);
});

test("a deposit where there is no share buys what nodes ask", async () => {
  gateway(0);
  expect(await deposit()).toMatch(/^About 10,000 tokens of talker at today's price\. /);
});
