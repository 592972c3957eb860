import { expect, expectAccessible, test, withKey } from "./network";

test("the radar shows live how many nodes answer for each layer", async ({ page }) => {
  await page.goto("/app/learn/radar");
  await expect(page.getByText("● Live")).toBeVisible();
  const coverage = page.getByRole("region", { name: "Coverage of layers" });
  await expect(coverage.getByText("✓ 2 nodes").first()).toBeVisible({ timeout: 300_000 });
  await expect(page.getByText("No node was ever convicted on this chain.")).toBeVisible();
  await expect(page.getByRole("row")).not.toHaveCount(1);
  await expectAccessible(page);
});

test("a radar that breaks off says so and is taken up again", async ({ page, context }) => {
  await page.goto("/app/learn/radar");
  await expect(page.getByText("● Live")).toBeVisible();
  await context.setOffline(true);
  await page.reload().catch(() => undefined);
  await context.setOffline(false);
  await page.goto("/app/learn/radar");
  await expect(page.getByText("● Live")).toBeVisible();
});

test("a distillation is shown to known callers, where the operator names one", async ({ page }) => {
  await page.goto("/app/learn");
  await expect(page.getByText("it needs an API key")).toBeVisible();
  await withKey(page);
  await page.reload();
  await expect(page.getByRole("alert")).toContainText("this gateway shows no distillation");
  await expectAccessible(page);
});

test("teachers' answers stand side by side with the judge's verdicts; hostile text stays text", async ({ page }) => {
  const answer = {
    source: "liar",
    response: "<img src=x onerror=alert(1)>\u202e1 + 1 = 3",
    confidence: 0.01,
    consistency_score: 0,
    historical_accuracy: 0.05,
    outcome: "refuted",
    vacuous: false,
    explanation: "",
    checked: "1 + 1",
    reason: "It does not add up.",
  };
  const overview = {
    name: "run",
    plan: { parent: "ab".repeat(32), training: 2, held_out: 1 },
    requests: 1,
    sources: [
      { source: "liar", provider: "local", answered: 1, failed: 0, cost_usd: "0.01", outcomes: { refuted: 1 } },
    ],
    memory: null,
    versions: [
      {
        version: 1,
        parent: 0,
        trained_at: 1,
        examples: 2,
        accuracy: null,
        adapter_sha256: "ef".repeat(32),
        cpu_class: "x",
        metrics: [1, 2].map((epoch) => ({ epoch, loss: 1 / epoch, accuracy: 0.5, perplexity: 2 / epoch })),
      },
    ],
    in_use: 1,
    scores: null,
  };
  const request = {
    number: 1,
    prompt: "What is 1 + 1?",
    category: "math",
    mode: "formal",
    decided: true,
    answers: [answer],
    failures: [{ source: "asleep", reason: "The server is away." }],
    best_source: null,
    explanation: "No answer is proved.",
  };
  await page.route("**/page/learning", (route) => route.fulfill({ json: ["run"] }));
  await page.route("**/page/learning/run", (route) => route.fulfill({ json: overview }));
  await page.route("**/page/learning/run/answers?*", (route) =>
    route.fulfill({ json: route.request().url().includes("after=0") ? [request] : [] }),
  );
  await withKey(page);
  await page.goto("/app/learn");
  const answers = page.getByRole("region", { name: "Answers side by side" });
  await expect(answers.getByText("<img src=x onerror=alert(1)>")).toBeVisible();
  await expect(answers.locator("img")).toHaveCount(0);
  await expect(answers.locator("[data-verdict=wrong]", { hasText: "refuted" })).toBeVisible();
  await expect(page.locator(".learn-chart canvas")).toHaveCount(3);
  await answers.getByRole("button", { name: "More" }).click();
  await expect(answers.getByRole("button", { name: "More" })).toHaveCount(0);
  await expectAccessible(page);
});
