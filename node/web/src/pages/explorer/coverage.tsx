import type { Offer } from "../../chain/documents";
import { barsOf, depthOf, gapsOf } from "./layer_bars";
import { words } from "./words";

const WIDTH = 1000;
const ROW = 26;
const TOP = 30;

/** Who serves which layers, drawn: above how many serve each layer, below a bar for each node. */
export function Coverage({ offers, layers }: { offers: readonly Offer[]; layers: number }) {
  const t = words();
  const bars = barsOf(offers, layers);
  const depth = depthOf(offers, layers);
  const deepest = Math.max(1, ...depth.map((one) => one.active));
  const gaps = gapsOf(offers, layers).map(([start, end]) => t.layerRange(start, end));
  const said = t.coverageText(layers, gaps.join(", "));
  const rows = Math.max(0, ...bars.map((bar) => bar.row + 1));
  const unit = WIDTH / Math.max(1, layers);
  return (
    <figure class="coverage">
      <svg
        viewBox={`0 0 ${WIDTH} ${TOP + 6 + rows * ROW}`}
        height={TOP + 6 + rows * ROW}
        preserveAspectRatio="none"
        role="img"
        aria-label={said}
      >
        {depth.map((one, layer) => (
          <rect
            key={layer}
            class={one.answering > 0 ? "depth" : one.active > 0 ? "depth-away" : "depth-none"}
            x={layer * unit + 0.5}
            y={one.active > 0 ? TOP - (one.active / deepest) * (TOP - 4) : 4}
            width={Math.max(0.5, unit - 1)}
            height={one.active > 0 ? (one.active / deepest) * (TOP - 4) : TOP - 4}
          />
        ))}
        {bars.map((bar) => (
          <g key={bar.offer.node}>
            <rect
              class={barClass(bar.offer)}
              x={bar.x * unit + 1}
              y={TOP + 6 + bar.row * ROW}
              width={bar.width * unit - 2}
              height={ROW - 6}
              rx="4"
            />
            <text x={bar.x * unit + 8} y={TOP + 6 + bar.row * ROW + 14}>
              {bar.width * unit > 90 ? bar.offer.node.slice(0, 8) : ""}
            </text>
          </g>
        ))}
      </svg>
      <figcaption class="quiet">
        {said} {gaps.length === 0 && layers > 0 && t.thinnest(Math.min(...depth.map((one) => one.active)))}
      </figcaption>
    </figure>
  );
}

function barClass(offer: Offer): string {
  if (!offer.active) return "bar-inactive";
  return offer.online === false ? "bar-away" : "bar";
}
