import type { Version } from "./gateway_types";

/** A version with those that came from it. */
export interface Ancestor {
  readonly version: Version;
  readonly children: readonly Ancestor[];
}

/**
 * Versions as trees, each below its parent, in the order of publishing. A version whose parent is not listed, or that
 * is its own ancestor by what a liar says, stands alone: none is lost and nothing turns in circles.
 */
export function lineageOf(versions: readonly Version[]): Ancestor[] {
  const known = new Map(versions.map((version) => [version.version, version]));
  const placed = new Set<string>();
  const below = (version: Version): Ancestor => {
    placed.add(version.version);
    const children = versions.filter((one) => one.parent === version.version && !placed.has(one.version));
    return { version, children: children.map(below) };
  };
  const roots = versions.filter((one) => one.parent === null || !known.has(one.parent)).map(below);
  const circling = versions.filter((one) => !placed.has(one.version));
  return [...roots, ...circling.map((version) => ({ version, children: [] }))];
}
