import { useState } from "preact/hooks";
import type { NetworkFacts } from "../../chain/network";
import type { Connection } from "../../wallet/connection";
import { AnnounceForm } from "./announce_form";
import { Command } from "./command";
import { identityOf } from "./identity";
import { keepMachineWallet } from "./machine";
import { RegisterForm } from "./register_form";
import { stageOf, type Standing } from "./standing";
import { words } from "./words";

interface Given {
  readonly here: Connection;
  readonly facts: NetworkFacts;
  readonly standing: Standing;
}

/** From nothing to a node that serves: what to run on the machine, what to sign here. */
export function SetupCard({ here, facts, standing }: Given) {
  const t = words();
  const [pasted, paste] = useState("");
  const identity = identityOf(pasted);
  const isFor = identity?.node === here.account;
  const stage = stageOf(standing);
  const node = ["nexus-node", "--data node-a", `--staker ${here.account}`, `--chain-id ${facts.chainId}`].join(" ");
  const serving = "--block SHARD --model-version VERSION --listen 0.0.0.0:7070 --endpoint HOST:7070";
  const take = (text: string) => {
    paste(text);
    const found = identityOf(text);
    if (found?.node === here.account) keepMachineWallet(here.account, found.wallet);
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
          {identity && isFor && (stage === "unknown" || stage === "active") && (
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
