import { askLiar, handOver, startLiar, watch, type Liar } from "./liar";
import { expect, expectAccessible, network, test } from "./network";

let liar: Liar;
let stop: () => Promise<void>;

test.beforeAll(async () => {
  test.setTimeout(900_000);
  ({ liar, stop } = await startLiar());
});

test.afterAll(() => stop());

test("a lie goes red, names node and layers, is handed over, and its dispute is followed to the verdict", async ({
  page,
  context,
}) => {
  test.setTimeout(900_000);
  const answer = await askLiar(page, liar);
  const verdict = answer.locator('.verdict[data-verdict="wrong"]');
  const [first, end] = liar.layers;
  await expect(verdict).toContainText(`layers ${first} to ${end - 1}`);
  await expect(verdict.locator(`a[href$="/app/explorer/nodes/${liar.node}"]`)).toBeVisible();
  await expectAccessible(page);

  await answer.getByRole("button", { name: "Hand the evidence to a watcher" }).click();
  await expect(answer.getByText("watch --answers handed-over")).toBeVisible();
  for (const width of [360, 800, 1400]) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide, `${width} px`).toBeLessThanOrEqual(0);
  }
  await expectAccessible(page);
  await handOver(page, answer, liar);

  // Somebody else looks at the explorer of another gateway meanwhile.
  const other = await context.newPage();
  await other.goto(`${network().address}/app/explorer/disputes`);
  await expect(other.locator('[data-state="live"]')).toBeVisible();
  const over = watch(liar);
  await other.locator('a[href*="/app/explorer/disputes/"]').first().click();
  for (const move of ["opened the dispute", "showed the roots of its trace", "picked a tensor", "picked a leaf"])
    await expect(other.getByText(move)).toBeVisible();
  await expect(other.getByText("acc = Σₖ q[k] · W[n, k]")).toBeVisible();
  await expect(other.getByText("The node is convicted.")).toBeVisible();
  expect(await over).toBe(0);
  for (const name of ["The node says", "The program says"])
    await expect(other.getByRole("figure", { name }).locator("strong")).toHaveText(/^-?[\d,]+$/);
  await expectAccessible(other);
  await other.goto(`${network().address}/app/explorer/nodes/${liar.node}`);
  await expect(other.getByText(/convicted/i).first()).toBeVisible();
});
