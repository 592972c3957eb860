import type { ModelDetail, Offer } from "../../chain/documents";
import { useDocument } from "../../chain/live";
import { rateOf } from "../../chain/publisher_share";
import { CertifiedQuality } from "../../chain/quality";
import { Fact } from "../../design/fact";
import { numberOf } from "../../design/amount";
import { Hash } from "../../design/hash";
import { addressOf } from "../../router";
import { Coverage } from "./coverage";
import { nameOf } from "./model_list";
import { Badge, Moment, NotYet, Seen, Top, Wei } from "./parts";
import { words } from "./words";

export function ModelPage({ id }: { id: string }) {
  const t = words();
  const {
    document: model,
    error,
    again,
  } = useDocument<ModelDetail>(
    `/explorer/models/${encodeURIComponent(id)}`,
    (event) => event.version === id || ["UnbondRequested", "Slashed"].includes(event.name),
  );
  if (!model) return <NotYet name={t.version} error={error} again={again} />;
  return (
    <>
      <Top part="models" title={nameOf(model)} />
      <section class="card">
        <dl class="facts">
          <Fact name={t.version}>
            <Hash value={model.version} />
          </Fact>
          <Fact name={t.publisher}>
            <Hash value={model.publisher} />
          </Fact>
          <Fact name={t.published}>
            <Moment time={model.published_at} />
          </Fact>
          <Fact name={t.price}>
            {model.wei_per_token ? <Wei wei={model.wei_per_token} /> : t.noRoute}
            {model.share_basis_points > 0 && ` ${t.onTop(rateOf(model.share_basis_points))}`}
          </Fact>
          {model.record && <Fact name={t.layers}>{numberOf(model.record.layers)}</Fact>}
          {model.parent && (
            <Fact name={t.parent}>
              <Hash value={model.parent} href={addressOf("explorer", "models", model.parent)} />
            </Fact>
          )}
          {model.children.length > 0 && (
            <Fact name={t.children}>
              {model.children.map((child) => (
                <Hash key={child} value={child} href={addressOf("explorer", "models", child)} />
              ))}
            </Fact>
          )}
        </dl>
        {model.names.map((name) => (
          <p key={name}>
            <a href={`${addressOf("chat")}?model=${encodeURIComponent(name)}`}>{t.chat(name)}</a>
          </p>
        ))}
      </section>
      <section class="card">
        <h2>{t.coverage}</h2>
        {model.record && <Coverage offers={model.offers} layers={model.record.layers} />}
        <Offers offers={model.offers} />
      </section>
      <section class="card">
        <h2>{t.certificate}</h2>
        <CertifiedQuality certificate={model.certificate} />
      </section>
    </>
  );
}

function Offers({ offers }: { offers: readonly Offer[] }) {
  const t = words();
  if (offers.length === 0) return null;
  return (
    <div class="wide" tabIndex={0} role="region" aria-label={t.nodes}>
      <table>
        <thead>
          <tr>
            {[t.node, t.layers, t.price, t.state, t.latency, t.uptime].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {offers.map((offer) => (
            <tr key={offer.node}>
              <td>
                <Hash value={offer.node} href={addressOf("explorer", "nodes", offer.node)} />
              </td>
              <td>
                {offer.layer_start}–{offer.layer_end - 1}
              </td>
              <td>
                <Wei wei={offer.wei_per_token} />
              </td>
              <td>
                <OfferState offer={offer} />
              </td>
              <td>{offer.latency_ms === null ? "–" : `${numberOf(offer.latency_ms)} ms`}</td>
              <td>
                <Seen uptime={offer.uptime} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function OfferState({ offer }: { offer: Offer }) {
  const t = words();
  if (!offer.active) return <Badge verdict="wrong">{t.inactive}</Badge>;
  if (offer.online === null) return <span class="quiet">{t.unmet}</span>;
  return <Badge verdict={offer.online ? "right" : "open"}>{offer.online ? t.answering : t.away}</Badge>;
}
