import type { NetworkFacts } from "../../chain/network";
import type { Connection } from "../../wallet/connection";
import { AnnounceForm } from "./announce_form";
import { Command } from "./command";
import { identityOf, type NodeIdentity } from "./identity";
import { keepMachineWallet } from "./machine";
import { areSame, gatewayNames, keepRegistry } from "./named_registry";
import { RegisterForm } from "./register_form";
import { GatewayRegistry, RegistryCheck } from "./registry_check";
import { stageOf, type Standing } from "./standing";
import { words } from "./words";

interface Given {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly standing: Standing;
  /** What was pasted, and its keeper. */
  readonly pasted: string;
  readonly paste: (text: string) => void;
}

/** From nothing to a node that serves: what to run on the machine, what to sign here. */
export function SetupCard({ here, facts, standing, pasted, paste }: Given) {
  const t = words();
  const identity = identityOf(pasted);
  const isFor = identity?.node === here.account;
  const stage = stageOf(standing);
  const node = ["nexus-node", "--data node-a", `--staker ${here.account}`, `--chain-id ${facts.chainId}`].join(" ");
  const serving = "--block SHARD --model-version VERSION --listen 0.0.0.0:7070 --endpoint HOST:7070";
  const take = (text: string) => {
    paste(text);
    const found = identityOf(text);
    if (found?.node !== here.account) return;
    keepMachineWallet(here.account, found.wallet);
    if (found.registry) keepRegistry(here.account, found.registry);
  };
  return (
    <section class="card">
      <h2>{t.setup}</h2>
      <ol class="steps">
        <li>
          {t.step1}
          <Command text="NEXUS_HOME=node-a nexus wallet new" />
        </li>
        <li>
          {t.step2} <span class="quiet">{t.placeholders}</span>
          <Command text={`${node} ${serving} identity`} />
        </li>
        <li>
          <GatewayRegistry facts={facts} />
          <label for="pasted">{t.step3}</label>
          <textarea
            id="pasted"
            class="mono"
            rows={5}
            spellcheck={false}
            aria-describedby="pasted-says"
            placeholder={t.pasted}
            value={pasted}
            onInput={(event) => take(event.currentTarget.value)}
          />
          <p id="pasted-says" role="status">
            {pasted.trim() !== "" && !identity && t.badPaste}
            {identity && !isFor && t.otherNode(identity.node)}
            {identity && isFor && identity.wallet === here.account && t.sameAsStaker}
          </p>
          {identity && isFor && <RegistryCheck facts={facts} named={identity.registry} />}
          {identity && isFor && (stage === "unknown" || stage === "active") && isSame(identity, facts) && (
            <RegisterForm here={here} facts={facts} standing={standing} identity={identity} />
          )}
          {stage === "active" && (
            <AnnounceForm
              key={identity?.modelVersion}
              here={here}
              facts={facts}
              {...(identity && isFor ? { identity } : {})}
            />
          )}
        </li>
        <li>
          {t.step4}
          <Command text="nexus-node --data node-a start" />
        </li>
      </ol>
    </section>
  );
}

/** INVARIANT: nothing is staked in a contract that the node does not name: it could be one of the gateway's own. */
function isSame({ registry }: NodeIdentity, facts: NetworkFacts): boolean {
  return registry !== undefined && areSame(registry, gatewayNames(facts));
}
