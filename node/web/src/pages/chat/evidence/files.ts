import type { Answer } from "../kept/conversation";
import { fileNames } from "./commands";
import { receiptsOf } from "./evidence";

/** Have the browser keep the answer file, as `nexus verify` and watchers take it. Throws GatewayError. */
export async function offerAnswerFile(id: string): Promise<void> {
  const { proof } = await receiptsOf(id);
  offer(fileNames(id).answer, `${JSON.stringify(proof, null, 1)}\n`, "application/json");
}

/** The body of the request, for `--request`. */
export function offerRequest({ id, question }: Answer & { id: string }): void {
  offer(fileNames(id).request, JSON.stringify(question.body, null, 1), "application/json");
}

/** The text as it came, for `--answer-text`. */
export function offerText({ id, text }: Answer & { id: string }): void {
  offer(fileNames(id).text, text, "text/plain;charset=utf-8");
}

function offer(name: string, text: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // The browser has taken it by then; at once would be too early for some.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
