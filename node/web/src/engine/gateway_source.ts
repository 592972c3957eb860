import { GatewayError } from "../api/gateway";
import { UnjudgeableError } from "./errors";
import type { ModelSource } from "./loaded_model";
import { parseListing, type ModelListing } from "./model_version";

/** A model's files from the gateway that served the page. They are public: no key is sent. */
export class GatewaySource implements ModelSource {
  private readonly place: string;
  private listed: ModelListing | undefined;

  /** `model` by its name at the gateway; `module` is the address of the kernels' module. */
  constructor(
    model: string,
    private readonly module: string,
  ) {
    this.place = `/v1/models/${model.split("/").map(encodeURIComponent).join("/")}/files`;
  }

  /** Throws GatewayError; UnjudgeableError where the gateway has not the files. */
  async listing(): Promise<ModelListing> {
    const response = await fetched(this.place, "no-cache");
    this.listed = parseListing(await response.json().catch(() => undefined));
    return this.listed;
  }

  async file(name: string, progress: (bytes: number) => void): Promise<Uint8Array> {
    const { size, sha256 } = this.listed!.files.get(name)!;
    const response = await fetched(`${this.place}/${name}?sha256=${encodeURIComponent(sha256)}`, "default");
    const whole = new Uint8Array(size);
    let at = 0;
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
      if (at + part.value.length > size) {
        await reader?.cancel();
        throw new UnjudgeableError(`${name} is longer than the gateway said`);
      }
      whole.set(part.value, at);
      progress((at += part.value.length));
    }
    if (at < size) throw new UnjudgeableError(`${name} is shorter than the gateway said`);
    return whole;
  }

  async kernels(): Promise<BufferSource> {
    return await (await fetched(this.module, "default")).arrayBuffer();
  }
}

async function fetched(address: string, cache: RequestCache): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, { cache, credentials: "omit", redirect: "error" });
  } catch {
    throw new GatewayError("the gateway cannot be reached", 0, "unreachable");
  }
  if (response.ok) return response;
  const found = (await response.json().catch(() => ({}))) as { error?: { message?: unknown; code?: unknown } };
  const { message, code } = found.error ?? {};
  const said = typeof message === "string" ? message : `the gateway answered ${response.status}`;
  if (response.status === 404) throw new UnjudgeableError(said);
  throw new GatewayError(said, response.status, typeof code === "string" ? code : "refused");
}
