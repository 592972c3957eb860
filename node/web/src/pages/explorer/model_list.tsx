import type { Model, PageOf } from "../../chain/documents";
import { rateOf } from "../../chain/publisher_share";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { Coverage } from "./coverage";
import { List, useList } from "./list";
import { Badge, Moment, Wei } from "./parts";
import { words } from "./words";

const RELEVANT = [
  "Published",
  "ShareSet",
  "Anchored",
  "Announced",
  "AnnouncementRemoved",
  "UnbondRequested",
  "Slashed",
];

export function ModelList() {
  const t = words();
  const shown = useList<PageOf<Model>>("/explorer/models", (event) => RELEVANT.includes(event.name));
  return (
    <List title={t.models} shown={shown}>
      {(found) => found.items.map((model) => <ModelCard key={model.id} model={model} />)}
    </List>
  );
}

function ModelCard({ model }: { model: Model }) {
  const t = words();
  const address = addressOf("explorer", "models", model.version);
  return (
    <article class="card">
      <h2>
        <a href={address}>{nameOf(model)}</a>
      </h2>
      <p class="row">
        <Hash value={model.version} href={address} />
        <Badge verdict={model.certificate ? "right" : "open"}>{model.certificate ? t.certified : t.uncertified}</Badge>
        <span>
          {t.price}: {model.wei_per_token ? <Wei wei={model.wei_per_token} /> : t.noRoute}
          {model.share_basis_points > 0 && ` ${t.onTop(rateOf(model.share_basis_points))}`}
        </span>
        <span class="quiet">
          <Moment time={model.published_at} />
        </span>
      </p>
      {model.parent && (
        <p>
          {t.parent}: <Hash value={model.parent} href={addressOf("explorer", "models", model.parent)} />
        </p>
      )}
      {model.record && <Coverage offers={model.offers} layers={model.record.layers} />}
    </article>
  );
}

/** What a version is called: by this gateway, else by its certificate, else by its id. */
export function nameOf(model: Model): string {
  const name = model.names[0] ?? model.certificate?.quality?.name ?? model.version.slice(0, 10);
  return model.record ? `${name} ${model.record.semver}` : name;
}
