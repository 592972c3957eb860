import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { PYTHON, ROOT } from "./network";

/**
 * Start one network for all tests, or take the one that NEXUS_PAGE_NETWORK describes (the line that
 * scripts/runs/page_network.py prints). Returns what stops it.
 */
export default async function setup(): Promise<() => Promise<void>> {
  if (process.env.NEXUS_PAGE_NETWORK) return async () => undefined;
  const child = spawn(PYTHON, ["-m", "scripts.runs.page_network"], {
    cwd: ROOT,
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, PYTHONPATH: ROOT },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const line = new Promise<string>((resolve) => createInterface(child.stdout).once("line", resolve));
  const first = await Promise.race([line, ended]);
  if (first === undefined) throw new Error("the network did not start: its message is above");
  process.env.NEXUS_PAGE_NETWORK = first;
  return async () => {
    child.stdin.end();
    await ended;
  };
}
