import { paidFor, rateOf, type TokenPrice } from "../../../chain/publisher_share";
import { etherOf } from "../../../design/amount";
import { changeSetup, chosenModels, current } from "../desk";
import { MOST_MODELS } from "../kept/conversation";
import { modelNamed, models, type ChatModel } from "../models";
import { visible } from "../text/hidden_characters";
import { words } from "./words";

/** The models that answer side by side. */
export function ModelChoice() {
  const t = words();
  const offered = models.value ?? [];
  const chosen = chosenModels(current.value.setup);
  if (models.value && offered.length === 0) return <p data-verdict="open">{t.noModels}</p>;
  const set = (at: number, name: string) => changeSetup({ models: chosen.map((one, n) => (n === at ? name : one)) });
  const remove = (at: number) => changeSetup({ models: chosen.filter((_, n) => n !== at) });
  return (
    <div class="models">
      {chosen.map((name, at) => (
        <span class="row model" key={at}>
          <label class="row">
            <span class={chosen.length > 1 ? "" : "unseen"}>{chosen.length > 1 ? t.model(at + 1) : t.onlyModel}</span>
            <select value={name} onChange={(event) => set(at, event.currentTarget.value)}>
              {offered.map((one) => (
                <option key={one.name} value={one.name}>
                  {visible(one.name)}
                </option>
              ))}
            </select>
          </label>
          <About model={modelNamed(name)} />
          {chosen.length > 1 && (
            <button type="button" class="small" onClick={() => remove(at)} aria-label={t.remove(at + 1)}>
              ✕
            </button>
          )}
        </span>
      ))}
      {chosen.length > 0 && chosen.length < MOST_MODELS && (
        <button
          type="button"
          class="small"
          onClick={() => changeSetup({ models: [...chosen, chosen.at(-1) ?? ""] })}
          aria-label={t.add}
          title={t.add}
        >
          +
        </button>
      )}
    </div>
  );
}

function About({ model }: { model: ChatModel | undefined }) {
  const t = words();
  if (!model) return null;
  return (
    <span class="quiet about">
      {[model.isChat ? "" : t.continues, model.price && said(model.price), visible(model.licence)]
        .filter(Boolean)
        .join(" · ")}
    </span>
  );
}

/** What a user pays for a token, and what of it is the publisher's. */
function said(price: TokenPrice): string {
  const t = words();
  const whole = t.price(etherOf(paidFor(1n, price)));
  return price.share > 0 ? `${whole} ${t.withShare(rateOf(price.share))}` : whole;
}
