import type { Locator, Page } from "@playwright/test";
import { expect, expectAccessible, network, nexus, processes, servedVersion, test } from "./network";

/** Have the chain pass some time, and make a block. */
async function passTime(page: Page, seconds: number): Promise<void> {
  for (const [method, params] of [
    ["evm_increaseTime", [seconds]],
    ["evm_mine", []],
  ] as const) {
    const data = { jsonrpc: "2.0", id: 1, method, params };
    expect((await page.request.post(network().rpc, { data })).ok()).toBe(true);
  }
}

async function articleOfServedVersion(page: Page): Promise<Locator> {
  const link = page.locator(`a[href="/app/explorer/models/${await servedVersion()}"]`);
  return page.getByRole("article").filter({ has: link });
}

test("an answer's session is seen, and its link opens the same thing", async ({ page, context }) => {
  const data = { model: "python-stdlib", prompt: "def fib(n):", max_tokens: 8 };
  const headers = { authorization: `Bearer ${network().key}` };
  const answered = await page.request.post("/v1/completions", { data, headers });
  const receipts = await page.request.get(answered.headers()["x-nexus-receipts"] ?? "", { headers });
  const { session } = (await receipts.json()) as { session: string };
  await page.goto("/app/explorer/sessions");
  const link = page.locator(`a[href="/app/explorer/sessions/${session}"]`);
  await expect(link).toBeVisible();
  await expectAccessible(page);
  await link.click();
  await expect(page).toHaveURL(new RegExp(`/app/explorer/sessions/${session}$`));
  await expect(page.getByText("SessionOpened")).toBeVisible();
  await expectAccessible(page);

  const other = await context.newPage();
  await other.goto(page.url());
  await expect(other.getByRole("heading", { level: 1 })).toHaveText(
    await page.getByRole("heading", { level: 1 }).innerText(),
  );
  await expect(other.getByText("SessionOpened")).toBeVisible();
  await other.close();
});

test("a session is followed from its opening to where each wei went, without loading again", async ({ page }) => {
  await page.goto("/app/explorer/sessions");
  await expect(page.locator('[data-state="live"]')).toBeVisible();
  const words = ["session", "open", "--model", await servedVersion(), "--tokens", "512", "--json"];
  const { session } = JSON.parse(await nexus(...words)) as { session: string };
  await page.locator(`a[href="/app/explorer/sessions/${session}"]`).click();
  await nexus("session", "close", session);
  await expect(page.getByText("SessionClosed")).toBeVisible();
  await passTime(page, 61);
  await nexus("session", "settle", session);
  await expect(page.getByText("LineSettled").first()).toBeVisible();

  await page.getByRole("link", { name: "Settlements", exact: true }).click();
  const card = page.locator("article", { has: page.locator(`a[href="/app/explorer/sessions/${session}"]`) }).first();
  await expect(card.getByText("This is what was locked, to the last wei.")).toBeVisible();
  const rows = await card.locator("td.exact").allInnerTexts();
  const wei = rows.map((text) => BigInt(text.replaceAll(/[^0-9]/g, "")));
  const total = wei.pop();
  expect(wei.reduce((sum, one) => sum + one, 0n)).toBe(total);
  await expectAccessible(page);
});

test("every part of the explorer has an address, and is reached by its link", async ({ page }) => {
  await page.goto("/app/explorer");
  await expect(page.getByRole("heading", { name: "Contracts" })).toBeVisible();
  await expectAccessible(page);
  for (const part of ["models", "nodes", "sessions", "settlements", "disputes"]) {
    await page
      .getByRole("navigation", { name: "Parts of the explorer" })
      .locator(`a[href="/app/explorer/${part}"]`)
      .click();
    await expect(page).toHaveURL(new RegExp(`/app/explorer/${part}$`));
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectAccessible(page);
  }
});

test("a model shows who serves which layers, and each node has a page", async ({ page }) => {
  await page.goto("/app/explorer/models");
  const model = await articleOfServedVersion(page);
  await expect(model.getByRole("img", { name: /each served by an active node/ })).toBeVisible();
  await model.getByRole("heading").getByRole("link").click();
  await expect(page.getByText("No certificate is known, so nothing is known of its quality.")).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("table").locator("a").first().click();
  await expect(page).toHaveURL(/\/app\/explorer\/nodes\/0x/);
  await expect(page.getByText("Stake", { exact: true })).toBeVisible();
  await expectAccessible(page);
});

test("what is not there, or no id, is said", async ({ page }) => {
  await page.goto(`/app/explorer/sessions/0x${"ab".repeat(32)}`);
  await expect(page.getByRole("alert")).toContainText("the chain knows no such session");
  await page.goto("/app/explorer/disputes/none");
  await expect(page.getByRole("alert")).toContainText("no game's number");
  await expectAccessible(page);
});

const GAME = {
  id: "9-1",
  game: 7,
  receipt: `0x${"12".repeat(32)}`,
  node: `0x${"aB".repeat(20)}`,
  challenger: `0x${"cD".repeat(20)}`,
  covered: true,
  opened_at: 1_790_000_000,
  first_bond_wei: "20000000000000000",
  bond_wei: "20000000000000000",
  version: null,
  session: `0x${"34".repeat(32)}`,
  tensor: 61,
  tensor_count: 129,
  positions: 40,
  layer_start: 2,
  layer_end: 4,
  turn_started_at: 1_790_000_100,
  ending: null,
};
const MOVES = ["GameOpened", "TracePosted", "TensorPicked", "RowsPosted"].map((name, place) => ({
  id: `${place}-0`,
  name,
  by: place % 2 ? "node" : "challenger",
  time: 1_790_000_000 + place,
  transaction: `0x${"56".repeat(32)}`,
  numbers: { tensor: 61 },
}));
const ELEMENT = {
  kind: "linear",
  layer: 3,
  params: { rows: 96, columns: 64, bits: 8, fraction: 12, bias: 0, residual: 0 },
  dtype: "i32",
  shape: [40, 96],
  index: null,
  claimed: null,
  right: null,
};

test("a dispute shows whose turn it is, the clock, the formula and at last both numbers", async ({ page }) => {
  // The clock runs by the chain's time, which the gateway tells.
  const told = (await (await page.request.get("/explorer/summary")).json()) as { as_of: { now: number } };
  const running = {
    ...GAME,
    state: "pick_leaf",
    nodes_turn: false,
    turn_started_at: told.as_of.now,
    deadline: told.as_of.now + 3600,
    element: ELEMENT,
    forecast: { outcome: "open", reason: "recompute" },
  };
  const over = {
    ...GAME,
    state: "convicted",
    nodes_turn: false,
    deadline: 0,
    element: { ...ELEMENT, index: [11, 5], claimed: "-70368744177664", right: "1234" },
    forecast: { outcome: "convicted", reason: "over" },
    ending: { name: "NodeConvicted", time: 1_790_000_140, wei: { refund: "5", bounty: "2000000000000000" } },
  };
  let shown: object = { ...running, moves: MOVES, as_of: told.as_of };
  await page.route(`${network().address}/explorer/disputes/7`, (route) => route.fulfill({ json: shown }));
  await page.goto("/app/explorer/disputes/7");
  await expect(page.getByText("It is the challenger's turn.")).toBeVisible();
  await expect(page.locator(".clock")).toBeVisible();
  await expect(page.getByText("acc = Σₖ q[k] · W[n, k]")).toBeVisible();
  await expect(page.getByText("Not known yet")).toBeVisible();
  await expect(page.getByText("Recompute the answer to know")).toBeVisible();
  await expectAccessible(page);

  shown = { ...over, moves: MOVES, as_of: told.as_of };
  await page.reload();
  await expect(page.getByText("-70,368,744,177,664")).toBeVisible();
  await expect(page.getByText("1,234", { exact: true })).toBeVisible();
  await expect(page.getByText("The node is convicted.")).toBeVisible();
  await expectAccessible(page);
});

test("the market says what is known, and leads to a chat with the model", async ({ page }) => {
  await page.goto("/app/market");
  const entry = await articleOfServedVersion(page);
  await expect(entry).toContainText("No certificate is known");
  await expectAccessible(page);
  await page.getByLabel("With a certificate").check();
  await expect(entry).toBeHidden();
  await page.reload();
  await expect(page.getByLabel("With a certificate")).toBeChecked();
  await page.getByLabel("With a certificate").uncheck();
  await page.getByLabel("Order by").selectOption("price");
  await expect(page).toHaveURL(/order=price/);
  await page
    .getByRole("link", { name: /^Chat with/ })
    .first()
    .click();
  await expect(page).toHaveURL(/\/app\/chat\?model=/);
});

test("a gateway that dies is said to be gone, and the page goes on by itself when it is back", async ({ page }) => {
  await page.goto("/app/explorer/nodes");
  await expect(page.locator('[data-state="live"]')).toBeVisible();
  const rows = await page.getByRole("row").count();
  const { gateway } = await processes();
  expect(gateway).toBeGreaterThan(0);
  process.kill(gateway as number, "SIGKILL");
  await expect(page.locator('[data-state="gone"]')).toContainText("has not answered for");
  await expect(page.getByRole("row")).toHaveCount(rows);
  await expect(page.locator('[data-state="live"]')).toBeVisible({ timeout: 300_000 });
  await expect(page.getByRole("row")).toHaveCount(rows);
});
