import { useId, useState } from "preact/hooks";
import { useCredentials } from "../../../api/credentials";
import { SignIn } from "../../../wallet/sign_in";
import { words } from "./words";

/** Before anything can be asked: an API key, or the account of a wallet. */
export function CredentialsPanel() {
  const t = words();
  const id = useId();
  const [isBad, say] = useState(false);
  const use = (event: SubmitEvent) => {
    event.preventDefault();
    const key = String(new FormData(event.currentTarget as HTMLFormElement).get("key") ?? "").trim();
    say(!isApiKey(key));
    if (isApiKey(key)) useCredentials({ token: key });
  };
  return (
    <section class="card credentials" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{t.title}</h2>
      <p>{t.why}</p>
      <form onSubmit={use}>
        <label for={`${id}-key`}>{t.key}</label>
        <div class="row">
          <input
            id={`${id}-key`}
            name="key"
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            aria-describedby={`${id}-hint`}
            aria-invalid={isBad}
          />
          <button type="submit" class="main">
            {t.use}
          </button>
        </div>
        <p id={`${id}-hint`} class="quiet">
          {t.hint}
        </p>
        {isBad && (
          <p role="alert" data-verdict="wrong">
            {t.bad}
          </p>
        )}
      </form>
      <h3>{t.orWallet}</h3>
      <SignIn />
    </section>
  );
}

/** Whether it can stand in a header at all. */
export function isApiKey(text: string): boolean {
  return /^[\x21-\x7e]{1,512}$/.test(text);
}
