/**
 * The page's policy of Trusted Types for scripts: a worker may be started from a file of this page, and from nothing
 * else. Browsers without Trusted Types (Firefox) take the address as it is; the content policy holds there, too.
 */
interface Factory {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): unknown };
}

let policy: { createScriptURL(url: string): unknown } | undefined;

/** The address of a worker's script. Throws where it is not one of this page's origin. */
export function ownScript(url: URL): URL {
  if (url.origin !== location.origin) throw new Error(`not a script of this page: ${url.origin}`);
  const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
  if (!factory) return url;
  policy ??= factory.createPolicy("nexus", {
    createScriptURL(wanted) {
      if (new URL(wanted, location.href).origin !== location.origin) throw new Error("not a script of this page");
      return wanted;
    },
  });
  return policy.createScriptURL(url.href) as URL;
}
