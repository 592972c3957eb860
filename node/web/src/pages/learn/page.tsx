import { addressOf, place } from "../../router";
import "./learn.css";
import { Panel } from "./panel";
import { RadarView } from "./radar_view";
import { words } from "./words";

/** `/app/learn`: the operator's distillation; `/app/learn/radar`: what the gateway sees of the network. */
export function Page() {
  const t = words();
  const isRadar = place.value[1] === "radar";
  return (
    <div class="learn">
      <h1>{t.title}</h1>
      <nav class="pages learn-parts" aria-label={t.tabs}>
        <a href={addressOf("learn")} aria-current={isRadar ? undefined : "page"}>
          {t.panel}
        </a>
        <a href={addressOf("learn", "radar")} aria-current={isRadar ? "page" : undefined}>
          {t.radar}
        </a>
      </nav>
      <p class="quiet">{isRadar ? t.radarIntro : t.panelIntro}</p>
      {isRadar ? <RadarView /> : <Panel />}
    </div>
  );
}
