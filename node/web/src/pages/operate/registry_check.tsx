import type { NetworkFacts } from "../../chain/network";
import { areSame, gatewayNames, type NamedRegistry } from "./named_registry";
import { words } from "./words";

/** The chain and the registry that a transaction goes to, written out: the gateway's word, and whoever reads compares. */
export function GatewayRegistry({ facts }: { facts: NetworkFacts }) {
  const t = words();
  return (
    <>
      <p>{t.gatewayNames}</p>
      <p class="mono facts-line">{t.chainAndRegistry(facts.chainId, facts.contracts.nodes)}</p>
    </>
  );
}

/**
 * Whether the node names the same registry as the gateway. `named`: what the node said; none where it said nothing.
 * Where they differ, both are said, and nothing is to be staked.
 */
export function RegistryCheck({ facts, named }: { facts: NetworkFacts; named: NamedRegistry | undefined }) {
  const t = words();
  if (!named) return <p data-verdict="open">{t.noRegistry}</p>;
  if (areSame(named, gatewayNames(facts))) return <p data-verdict="right">{t.sameRegistry}</p>;
  const gateway = t.chainAndRegistry(facts.chainId, facts.contracts.nodes);
  return (
    <p role="alert" data-verdict="wrong">
      {t.otherRegistry(gateway, t.chainAndRegistry(named.chainId, named.registry))}
    </p>
  );
}
