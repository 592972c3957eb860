import { useState } from "preact/hooks";
import { Freshness } from "../../chain/freshness";
import type { Model, PageOf } from "../../chain/documents";
import { useDocument } from "../../chain/live";
import { numberOf } from "../../design/amount";
import { Failure, Loading } from "../../design/state";
import { addressOf, go, parameters } from "../../router";
import { EntryCard } from "./entry_card";
import "./market.css";
import { chosen, entryOf, ORDERS, type Order, type Wanted } from "./offers";
import { words } from "./words";

const MOST = 100;
const RELEVANT = ["models", "certificates", "nodes"];

/** Versions to choose among. What is wanted stands in the address, so that a choice can be shared. */
export function Page() {
  const t = words();
  const shown = useDocument<PageOf<Model>>(`/explorer/models?limit=${MOST}`, (event) =>
    RELEVANT.includes(event.contract),
  );
  const wanted = wantedIn(parameters.value);
  const order = ORDERS.find((one) => one === parameters.value.get("order")) ?? "newest";
  const found = shown.document;
  const entries = found ? chosen(found.items.map(entryOf), wanted, order) : [];
  return (
    <div class="market">
      <h1>{t.title}</h1>
      <p class="quiet">{t.about}</p>
      <Freshness />
      <Choice wanted={wanted} order={order} />
      {!found && (shown.error === undefined ? <Loading /> : <Failure error={shown.error} again={shown.again} />)}
      {found && <p role="status">{entries.length > 0 ? t.found(numberOf(entries.length)) : t.none}</p>}
      <ul class="entries">
        {entries.map((entry) => (
          <li key={entry.model.version}>
            <EntryCard entry={entry} />
          </li>
        ))}
      </ul>
      {found?.next && (
        <a href={`${addressOf("explorer", "models")}?before=${encodeURIComponent(found.next)}`}>{t.more}</a>
      )}
    </div>
  );
}

const FLAGS = ["answering", "certified", "here"] as const;

function Choice({ wanted, order }: { wanted: Wanted; order: Order }) {
  const t = words();
  const [text, write] = useState(wanted.text);
  return (
    <form class="choice card" role="search" onSubmit={(event) => event.preventDefault()}>
      <label>
        {t.search}
        <input
          type="search"
          value={text}
          onInput={(event) => {
            write(event.currentTarget.value);
            change("text", event.currentTarget.value);
          }}
        />
      </label>
      <label>
        {t.order}
        <select value={order} onChange={(event) => change("order", event.currentTarget.value)}>
          {ORDERS.map((one) => (
            <option key={one} value={one}>
              {t.orders[one]}
            </option>
          ))}
        </select>
      </label>
      {FLAGS.map((flag) => (
        <label key={flag} class="flag">
          <input
            type="checkbox"
            checked={wanted[flag]}
            onChange={(event) => change(flag, event.currentTarget.checked ? "1" : "")}
          />
          {t[flag]}
        </label>
      ))}
    </form>
  );
}

function wantedIn(found: URLSearchParams): Wanted {
  const flag = (name: string) => found.get(name) === "1";
  return {
    text: found.get("text") ?? "",
    answering: flag("answering"),
    certified: flag("certified"),
    here: flag("here"),
  };
}

function change(name: string, value: string): void {
  const next = new URLSearchParams(parameters.value);
  if (value) next.set(name, value);
  else next.delete(name);
  const query = next.toString();
  go(`${addressOf("market")}${query ? `?${query}` : ""}`, { replace: true });
}
