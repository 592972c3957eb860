import { useState } from "preact/hooks";
import { connect } from "./connection";
import { wallets, type FoundWallet } from "./discovery";
import { useDoing } from "./doing";
import { Trouble } from "./trouble";
import { words } from "./words";

/** The wallets of this browser, one of which is connected by choosing it. */
export function WalletChoice() {
  const t = words();
  const doing = useDoing();
  const [chosen, choose] = useState<FoundWallet | undefined>();
  const found = wallets.value;
  if (found.length === 0) {
    return (
      <section>
        <h3>{t.none}</h3>
        <p class="quiet">{t.noneHint}</p>
      </section>
    );
  }
  const ask = (wallet: FoundWallet) => {
    choose(wallet);
    doing.run(() => connect(wallet));
  };
  return (
    <section>
      <h3>{t.choose}</h3>
      <p class="quiet">{t.chooseHint}</p>
      <ul class="wallets">
        {found.map((wallet) => (
          <li key={wallet.id}>
            <button type="button" aria-disabled={doing.busy} onClick={() => ask(wallet)}>
              <strong>{wallet.name}</strong> <small class="quiet">{wallet.rdns}</small>
            </button>
          </li>
        ))}
      </ul>
      {doing.busy && <p role="status">{t.asking}</p>}
      {doing.error !== undefined && (
        <Trouble error={doing.error} {...(chosen ? { again: () => ask(chosen), label: t.again } : {})} />
      )}
    </section>
  );
}
