import { useEffect, useRef } from "preact/hooks";
import "uplot/dist/uPlot.min.css";

export interface Curve {
  readonly label: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

const HEIGHT = 180;

/**
 * One curve. It is a picture beside numbers that stand in a table: whoever cannot see it loses nothing, so it is
 * hidden from screen readers.
 */
export function Chart({ curve, xLabel }: { curve: Curve; xLabel: string }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const host = place.current;
    if (!host) return;
    let isWanted = true;
    let undo = () => {};
    void import("uplot").then(({ default: Plot }) => {
      if (!isWanted) return;
      const style = getComputedStyle(host);
      const [accent, quiet, line] = ["--accent", "--quiet", "--line"].map((name) =>
        style.getPropertyValue(name).trim(),
      );
      const axis = { stroke: quiet!, grid: { stroke: line!, width: 1 }, ticks: { stroke: line!, width: 1 } };
      const plot = new Plot(
        {
          width: host.clientWidth || 300,
          height: HEIGHT,
          legend: { show: false },
          cursor: { show: false },
          scales: { x: { time: false } },
          axes: [
            { ...axis, incrs: [1, 2, 5, 10, 20, 50], size: 28 },
            { ...axis, size: 48 },
          ],
          series: [{}, { stroke: accent!, width: 2, points: { show: true, fill: accent! } }],
        },
        [[...curve.x], [...curve.y]],
        host,
      );
      const resized = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: HEIGHT }));
      resized.observe(host);
      undo = () => {
        resized.disconnect();
        plot.destroy();
      };
    });
    return () => {
      isWanted = false;
      undo();
    };
  }, [curve]);
  return (
    <figure class="learn-chart">
      <figcaption>
        {curve.label} <span class="quiet">/ {xLabel}</span>
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}
