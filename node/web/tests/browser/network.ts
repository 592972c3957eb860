import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";

export const ROOT = resolve(import.meta.dirname, "../../../..");
const OWN = resolve(ROOT, ".venv/bin/python");
export const PYTHON = existsSync(OWN) ? OWN : "python3";

/** The network that the tests share. `key`: an API key of its gateway. `home`: its user's, `folder`: all of it. */
export interface Network {
  readonly address: string;
  readonly key: string;
  readonly rpc: string;
  readonly home: string;
  readonly folder: string;
}

export function network(): Network {
  const said = process.env.NEXUS_PAGE_NETWORK;
  if (!said) throw new Error("no network was started");
  return JSON.parse(said) as Network;
}

/** What a `nexus` command of the network's user prints. Throws where it fails. */
export async function nexus(...words: string[]): Promise<string> {
  const { home, rpc, key } = network();
  return run(["--home", home, "--rpc", rpc, ...words], { NEXUS_API_KEY: key });
}

/** The version that the network's gateway serves. The chain knows more of them: tests publish theirs. */
export async function servedVersion(): Promise<string> {
  const said = (await (await fetch(`${network().address}/v1/models`)).json()) as { data: { model_version: string }[] };
  const version = said.data[0]?.model_version;
  if (!version) throw new Error("the gateway serves no model");
  return version;
}

/** Process ids of the network's programs by name. */
export async function processes(): Promise<Record<string, number>> {
  const said = await run(["--home", network().folder, "status", "--json"], {});
  const found = JSON.parse(said) as { processes: { name: string; process: number; running: boolean }[] };
  return Object.fromEntries(found.processes.filter((one) => one.running).map((one) => [one.name, one.process]));
}

async function run(words: string[], more: Record<string, string>): Promise<string> {
  const env = { ...process.env, PYTHONPATH: ROOT, ...more };
  const done = await promisify(execFile)(PYTHON, ["-m", "node.cli", ...words], { cwd: ROOT, env });
  return done.stdout;
}

/** A test whose page fails it where the browser refuses something or a script fails. */
export const test = base.extend<{ complaints: string[] }>({
  baseURL: async ({}, use) => use(network().address),
  complaints: [
    async ({ page }, use) => {
      const found: string[] = [];
      page.on("pageerror", (error) => found.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error" && /policy|Trusted/i.test(message.text())) found.push(message.text());
      });
      await use(found);
      expect(found, "what the browser complained of").toEqual([]);
    },
    { auto: true },
  ],
});

/** Give the page the network's key, as somebody who pasted it. */
export async function withKey(page: Page): Promise<void> {
  await page.addInitScript((token) => {
    sessionStorage.setItem("nexus.credentials", JSON.stringify({ token }));
  }, network().key);
}

/** No violation of accessibility that axe-core can see. */
export async function expectAccessible(page: Page): Promise<void> {
  const found = await new AxeBuilder({ page }).analyze();
  expect(found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
}

export { expect };
