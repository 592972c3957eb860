import { useId, useState } from "preact/hooks";
import { credentials, forgetCredentials } from "../../../api/credentials";
import { changeSetup, chosenModels, current } from "../desk";
import { modelNamed } from "../models";
import { CONTINUED_TOKENS } from "../stream/question";
import { parsedSampling, typedSampling, type Field, type Typed } from "./parsed";
import { words } from "./words";

/** System prompt and sampling. What makes no sense is not taken, and is said beside its field. */
export function SettingsPanel() {
  const t = words();
  const id = useId();
  const { setup } = current.value;
  const [typed, type] = useState<Typed>(() => typedSampling(setup.sampling));
  const parsed = parsedSampling(typed);
  const wrong = "wrong" in parsed ? parsed.wrong : [];
  const change = (field: Field, text: string) => {
    const next = { ...typed, [field]: text };
    type(next);
    const found = parsedSampling(next);
    if ("sampling" in found) changeSetup({ sampling: found.sampling });
  };
  const chosen = chosenModels(setup).map(modelNamed);
  const isUnread = setup.system !== "" && chosen.some((model) => model && !model.isChat);
  const field = (name: Field, label: string, hint: string, bad: string) => ({
    id: `${id}-${name}`,
    label,
    hint,
    value: typed[name],
    bad: wrong.includes(name) ? bad : "",
    set: (text: string) => change(name, text),
  });
  return (
    <div class="settings">
      <label for={`${id}-system`}>{t.system}</label>
      <textarea
        id={`${id}-system`}
        rows={2}
        value={setup.system}
        aria-describedby={`${id}-system-hint`}
        onInput={(event) => changeSetup({ system: event.currentTarget.value })}
      />
      <p class="quiet" id={`${id}-system-hint`}>
        {t.systemHint} {isUnread && <strong>{t.systemUnread}</strong>}
      </p>
      <div class="fields">
        <SamplingField {...field("temperature", t.temperature, t.temperatureHint, t.badTemperature)} />
        <SamplingField {...field("maxTokens", t.most, t.mostHint(CONTINUED_TOKENS), t.badMost)} />
        <SamplingField {...field("seed", t.seed, t.seedHint, t.badSeed)} />
        <SamplingField {...field("stop", t.stops, t.stopsHint, t.badStops)} isLong />
      </div>
      {credentials.value && credentials.value.account === undefined && (
        <p class="row">
          <button type="button" class="small" onClick={forgetCredentials}>
            {t.forgetKey}
          </button>
          <span class="quiet">{t.forgetKeyHint}</span>
        </p>
      )}
    </div>
  );
}

interface Shown {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly bad: string;
  readonly set: (text: string) => void;
  readonly isLong?: boolean;
}

function SamplingField({ id, label, hint, value, bad, set, isLong = false }: Shown) {
  const shared = {
    id,
    value,
    "aria-describedby": `${id}-hint`,
    "aria-invalid": bad !== "",
    onInput: (event: { currentTarget: { value: string } }) => set(event.currentTarget.value),
  };
  return (
    <div>
      <label for={id}>{label}</label>
      {isLong ? <textarea rows={2} {...shared} /> : <input inputMode="decimal" autocomplete="off" {...shared} />}
      <p class="quiet" id={`${id}-hint`}>
        {hint}
      </p>
      {bad !== "" && (
        <p role="alert" data-verdict="wrong">
          {bad}
        </p>
      )}
    </div>
  );
}
