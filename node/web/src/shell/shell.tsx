import { Component, type ComponentType, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { addressOf, place } from "../router";
import { WalletButton } from "../wallet/wallet_button";
import { LANGUAGES, chooseLanguage, language, type Language } from "../words/language";
import { PAGES, isPage, type PageName } from "./pages";
import { THEMES, chooseTheme, theme, type Theme } from "./theme";
import { words } from "./words";

/** Everything around a page: the way to the others, the wallet, language and theme. */
export function Shell() {
  const t = words();
  const name = place.value[0] ?? "chat";
  useEffect(() => {
    document.title = `${isPage(name) ? t[name] : t.notFound} · Neural Nexus`;
  }, [name, language.value]);
  return (
    <>
      <a class="skip" href="#main">
        {t.skip}
      </a>
      <header class="top">
        <a class="brand" href={addressOf("chat")}>
          <img src="/app/mark.svg" alt="" width="28" height="28" />
          <span>Neural Nexus</span>
        </a>
        <Navigation current={name} />
        <div class="top-end">
          <Choices />
          <WalletButton />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {isPage(name) ? (
          <Guard key={name}>
            <Loaded name={name} />
          </Guard>
        ) : (
          <section class="card">
            <h1>{t.notFound}</h1>
            <a href={addressOf("chat")}>{t.toChat}</a>
          </section>
        )}
      </main>
    </>
  );
}

function Navigation({ current }: { current: string }) {
  const t = words();
  return (
    <nav class="pages" aria-label={t.pages}>
      {(Object.keys(PAGES) as PageName[]).map((name) => (
        <a key={name} href={addressOf(name)} aria-current={name === current ? "page" : undefined}>
          {t[name]}
        </a>
      ))}
    </nav>
  );
}

function Choices() {
  const t = words();
  return (
    <>
      <select
        aria-label={t.language}
        value={language.value}
        onChange={(event) => chooseLanguage(event.currentTarget.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([tag, name]) => (
          <option key={tag} value={tag} lang={tag}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label={t.theme}
        value={theme.value}
        onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}
      >
        {THEMES.map((one) => (
          <option key={one} value={one}>
            {t[one]}
          </option>
        ))}
      </select>
    </>
  );
}

function Loaded({ name }: { name: PageName }) {
  const [Page, show] = useState<ComponentType | undefined>();
  const [failed, fail] = useState<Error | undefined>();
  useEffect(() => {
    let wanted = true;
    PAGES[name]().then(
      (module) => wanted && show(() => module.Page),
      (error: unknown) => wanted && fail(error instanceof Error ? error : new Error(String(error))),
    );
    return () => {
      wanted = false;
    };
  }, [name]);
  if (failed) throw failed;
  return Page ? <Page /> : null;
}

/** A page that fails says so; the others go on. */
class Guard extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };

  static override getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  override render() {
    const t = words();
    if (!this.state.failed) return this.props.children;
    return (
      <section class="card" role="alert">
        <h1>{t.broken}</h1>
        <button type="button" onClick={() => location.reload()}>
          {t.reload}
        </button>
      </section>
    );
  }
}
