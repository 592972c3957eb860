import { useEffect, useState } from "preact/hooks";
import { credentials } from "../api/credentials";
import { networkFacts } from "../chain/network";
import { Hash } from "../design/hash";
import { connection, type Connection } from "./connection";
import { useDoing, useFetched } from "./doing";
import { prepareSignIn, signIn, signOut, type PreparedSignIn } from "./signing_in";
import { Trouble } from "./trouble";
import { WalletChoice } from "./wallet_choice";
import "./wallet.css";
import { words } from "./words";

/**
 * The way to a session: choose a wallet, read the message, sign it. Shows who is signed in, and the way out. Usable
 * anywhere on the page.
 */
export function SignIn() {
  const t = words();
  const here = connection.value;
  const session = credentials.value;
  const facts = useFetched(networkFacts, []);
  if (facts.error !== undefined) return <Trouble error={facts.error} again={facts.again} label={t.again} />;
  if (facts.found && !facts.found.signIn) return <p class="quiet">{t.signInOff}</p>;
  if (session?.account) {
    return (
      <>
        <SignedIn account={session.account} hasKey={session.key !== undefined} />
        {here && here.account !== session.account && (
          <div class="notice" data-verdict="open">
            <p role="status">{t.otherSignedIn}</p>
            <Signing key={here.account} who={here} />
          </div>
        )}
      </>
    );
  }
  return here ? <Signing key={here.account} who={here} /> : <WalletChoice />;
}

function SignedIn({ account, hasKey }: { account: string; hasKey: boolean }) {
  const t = words();
  const doing = useDoing();
  return (
    <section>
      <p class="row">
        <strong data-verdict="right">{t.signedIn}</strong> <Hash value={account} />
        <button type="button" aria-disabled={doing.busy} onClick={() => doing.run(signOut)}>
          {t.signOut}
        </button>
      </p>
      {!hasKey && <NoKey />}
    </section>
  );
}

/** Said of a session that whoever copies its token can use. */
function NoKey() {
  return (
    <p class="notice" data-verdict="open">
      {words().noKey}
    </p>
  );
}

/** Two steps: the message is made and shown, then the wallet is asked. */
function Signing({ who }: { who: Connection }) {
  const t = words();
  const doing = useDoing();
  const [prepared, show] = useState<PreparedSignIn | undefined>();
  // A message is for one account: after a change it is made anew.
  useEffect(() => show(undefined), [who.account]);
  const begin = () => doing.run(async () => show(await prepareSignIn(who)));
  if (prepared === undefined) {
    return (
      <section>
        <p class="quiet">{t.signInHint}</p>
        <button type="button" class="main" aria-disabled={doing.busy} onClick={begin}>
          {t.signIn}
        </button>
        {doing.error !== undefined && <Trouble error={doing.error} />}
      </section>
    );
  }
  const sign = () =>
    doing.run(async () => {
      await signIn(who, prepared);
      show(undefined);
    });
  return (
    <section>
      <p>{t.readMessage}</p>
      <pre class="message" tabIndex={0}>
        {prepared.message}
      </pre>
      {prepared.key === undefined && <NoKey />}
      <p class="row">
        <button type="button" class="main" aria-disabled={doing.busy} onClick={sign}>
          {t.sign}
        </button>
        <button type="button" onClick={() => show(undefined)}>
          {t.cancel}
        </button>
      </p>
      {doing.busy && <p role="status">{t.asking}</p>}
      {doing.error !== undefined && <Trouble error={doing.error} again={begin} label={t.again} />}
    </section>
  );
}
