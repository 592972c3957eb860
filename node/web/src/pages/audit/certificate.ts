/** A certificate's document as the page reads it: what it says, and what is needed to check it. */
export interface ReadCertificate {
  readonly format: string;
  /** `certificate`, as parsed. */
  readonly content: Readonly<Record<string, unknown>>;
  readonly publisher: string;
  /** The version's id in the registry. */
  readonly version: string;
  readonly name: string;
  readonly semver: string;
  /** Root and number of the examples; none in a certificate of another kind. */
  readonly dataset?: { readonly root: string; readonly examples: number };
}

export const DISTILLATION = "nexus.distillation.v1";
export const CORPUS = "nexus.certificate.v1";

/** Read a document. Returns undefined where it is no certificate that this page knows. */
export function readCertificate(document: Uint8Array): ReadCertificate | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(document));
  } catch {
    return undefined;
  }
  const content = at(parsed, "certificate");
  const format = at(content, "format");
  if (!isRecord(content) || (format !== DISTILLATION && format !== CORPUS)) return undefined;
  const model = content["model"];
  const [root, examples] = [at(content["dataset"], "root"), at(content["dataset"], "examples")];
  return {
    format,
    content,
    publisher: textAt(model, "publisher").toLowerCase(),
    version: textAt(model, "model_version"),
    name: textAt(model, "name"),
    semver: textAt(model, "version"),
    ...(typeof root === "string" && typeof examples === "number" ? { dataset: { root, examples } } : {}),
  };
}

/** One fact of a certificate. `path`: where it stands, such as `evaluation.after.accuracy`. */
export interface Fact {
  readonly path: string;
  readonly value: string;
  /** The whole of a long list, for whoever opens it: of values, or of records. */
  readonly whole?: string;
  readonly records?: readonly Readonly<Record<string, unknown>>[];
}

/** Facts of one section, in the document's order, nested ones with their path; a list is one fact, by its length. */
export function factsOf(section: unknown, path: string): Fact[] {
  if (Array.isArray(section)) {
    const records = recordsIn(section);
    const value = String(section.length);
    return [records ? { path, value, records } : { path, value, whole: section.map(textOf).join(", ") }];
  }
  if (isRecord(section)) return Object.entries(section).flatMap(([name, one]) => factsOf(one, `${path}.${name}`));
  return [{ path, value: section === null ? "" : String(section) }];
}

function textOf(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Records of a list, for a table; undefined where it is none. */
export function recordsIn(section: unknown): Readonly<Record<string, unknown>>[] | undefined {
  return Array.isArray(section) && section.length > 0 && section.every(isRecord) ? section : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function at(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

function textAt(value: unknown, name: string): string {
  const found = at(value, name);
  return typeof found === "string" ? found : "";
}
