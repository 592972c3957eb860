import { signal } from "@preact/signals";
import { askJson } from "../../api/gateway";
import { priceOf, type TokenPrice } from "../../chain/publisher_share";

/** A model that writes texts, as the gateway offers it. */
export interface ChatModel {
  readonly name: string;
  /** Whether it has a chat format. One without continues a text. */
  readonly isChat: boolean;
  /** Positions of prompt and answer together. */
  readonly context: number;
  readonly version: string;
  readonly weightsRoot: string;
  /** None while no route is known. */
  readonly price: TokenPrice | undefined;
  readonly licence: string;
}

/** Models of the gateway; none before they are known. */
export const models = signal<readonly ChatModel[] | undefined>(undefined);

export function modelNamed(name: string): ChatModel | undefined {
  return models.value?.find((one) => one.name === name);
}

/** Ask the gateway for its models, those that embed left out. Throws GatewayError. */
export async function loadModels(signal?: AbortSignal): Promise<void> {
  const found = await askJson<{ data?: unknown }>("/v1/models", signal ? { signal } : {});
  const listed = (Array.isArray(found.data) ? found.data : []).map(listedModel).filter((one) => one !== undefined);
  const known = await Promise.all(listed.map((one) => withKind(one, signal)));
  models.value = known.filter((one) => one !== undefined);
}

type Listed = Omit<ChatModel, "isChat">;

function listedModel(found: unknown): Listed | undefined {
  const it = (found ?? {}) as Record<string, unknown>;
  const { id, max_model_len: context, model_version: version, weights_root: root } = it;
  // Versions and roots end up in commands that people paste.
  if (typeof id !== "string" || !isHash(version) || !isHash(root)) return undefined;
  return {
    name: id,
    context: typeof context === "number" ? context : 0,
    version,
    weightsRoot: root,
    price: priceOf(it),
    licence: typeof it["licence"] === "string" ? it["licence"] : "",
  };
}

async function withKind(listed: Listed, signal?: AbortSignal): Promise<ChatModel | undefined> {
  const body = { model: listed.name };
  const shown = await askJson<{ capabilities?: unknown }>("/api/show", signal ? { body, signal } : { body });
  const can = Array.isArray(shown.capabilities) ? shown.capabilities : [];
  if (!can.includes("completion")) return undefined;
  return { ...listed, isChat: can.includes("chat") };
}

function isHash(found: unknown): found is string {
  return typeof found === "string" && /^0x[0-9a-fA-F]{64}$/.test(found);
}
