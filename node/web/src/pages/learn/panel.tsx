import { useEffect, useState } from "preact/hooks";
import { askJson } from "../../api/gateway";
import { credentials } from "../../api/credentials";
import { Failure, Loading } from "../../design/state";
import { addressOf } from "../../router";
import { AnswersCard } from "./answers_card";
import { DeployCard } from "./deploy_card";
import type { Overview } from "./gateway_types";
import { MemoryCard } from "./memory_card";
import { SourcesCard } from "./sources_card";
import { TrainingCard } from "./training_card";
import { words } from "./words";

/** The name that the gateway gives to what is asked without a run. */
const OWN = "asked";

/** The operator's distillation, to look at. */
export function Panel() {
  const t = words();
  const token = credentials.value?.token;
  if (!token) {
    return (
      <p class="card">
        {t.needKey} <a href={addressOf("chat")}>{t.toChat}</a>
      </p>
    );
  }
  return <Runs key={token} />;
}

function Runs() {
  const t = words();
  const [names, show] = useState<readonly string[] | undefined>();
  const [chosen, choose] = useState<string | undefined>();
  const [failed, fail] = useState<unknown>();
  const fetchNames = () => {
    fail(undefined);
    askJson<string[]>("/page/learning").then((found) => {
      show(found);
      choose(found[0]);
    }, fail);
  };
  useEffect(fetchNames, []);
  if (failed !== undefined) return <Failure error={failed} again={fetchNames} />;
  if (!names) return <Loading />;
  if (names.length === 0) return <p class="card quiet">{t.noRuns}</p>;
  return (
    <>
      <p>
        <label>
          {t.run}{" "}
          <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
            {names.map((name) => (
              <option key={name} value={name}>
                {name === OWN ? t.asked : name}
              </option>
            ))}
          </select>
        </label>
      </p>
      {chosen !== undefined && <Run key={chosen} name={chosen} />}
    </>
  );
}

function Run({ name }: { name: string }) {
  const [overview, show] = useState<Overview | undefined>();
  const [failed, fail] = useState<unknown>();
  const fetchOverview = () => {
    fail(undefined);
    askJson<Overview>(`/page/learning/${encodeURIComponent(name)}`).then(show, fail);
  };
  useEffect(fetchOverview, [name]);
  if (failed !== undefined) return <Failure error={failed} again={fetchOverview} />;
  if (!overview) return <Loading />;
  return (
    <>
      <SourcesCard overview={overview} />
      <TrainingCard overview={overview} />
      <MemoryCard memory={overview.memory} />
      <DeployCard overview={overview} />
      <AnswersCard name={name} />
    </>
  );
}
