// The plots: uPlot, a line for each node.

/* global uPlot */
import { $, bytes, count, el } from "./api.js";
import { history } from "./state.js";

const kinds = [
  { key: "clients", title: "Clients", format: count },
  { key: "in", title: "Messages received a second", format: count },
  { key: "out", title: "Messages written a second", format: count },
  { key: "pending", title: "Bytes pending", format: bytes },
];

// Of one lightness, and told apart by dash as well: up to eight, then again.
const light = ["#a8326a", "#1f6f8b", "#7a5c00", "#4a5fc1", "#2c7a3f", "#8a4b2a", "#6b3fa0", "#4f5b66"];
const dark = ["#f08fb9", "#6fc3dd", "#d9b64a", "#9fb0ff", "#7fd393", "#e2a07c", "#c3a0f5", "#b4bfca"];
const plotHeight = 170; // pixels
const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

let plots = [];
new ResizeObserver(() => plots.forEach(({ plot, box }) => {
  if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: plotHeight });
})).observe($("plot-area"));
let drawn = "";
const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", () => { drawn = ""; });

export function showPlots() {
  const series = [...history.nodes];
  const key = series.map(([n, h]) => n + h.name).join() + scheme.matches;
  if (key !== drawn) {
    drawn = key;
    build(series);
  }
  plots.forEach(({ plot, kind }) => plot.setData([history.at, ...series.map(([, h]) => h[kind.key])]));
}

function build(series) {
  plots.forEach(({ plot }) => plot.destroy());
  const css = getComputedStyle(document.documentElement);
  const axis = { stroke: css.getPropertyValue("--soft"), grid: { stroke: css.getPropertyValue("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const colours = scheme.matches ? dark : light;
  $("plot-area").replaceChildren();
  plots = kinds.map((kind) => {
    const box = el("figure", {}, el("h3", {}, kind.title));
    $("plot-area").append(box);
    const format = (v) => (v === null || v === undefined ? "–" : kind.format(v));
    const plot = new uPlot({
      width: box.clientWidth, height: plotHeight, cursor: { y: false }, legend: { live: true },
      scales: { y: { range: (u, low, high) => [0, Math.max(1, (high || 0) * 1.1)] } },
      axes: [{ ...axis, space: 70, values: (u, at) => at.map((s) => new Date(s * 1000).toTimeString().slice(0, 8)) },
        { ...axis, size: 62, values: (u, at) => at.map((v) => (v % 1 ? "" : kind.format(v))) }],
      series: [{ value: (u, v) => (v ? new Date(v * 1000).toTimeString().slice(0, 8) : "–") },
        ...series.map(([, h], i) => ({
          label: h.name, stroke: colours[i % colours.length], width: 1.5, dash: dashes[Math.floor(i / 2) % dashes.length],
          points: { show: false }, value: (u, v) => format(v),
        }))],
    }, [history.at, ...series.map(([, h]) => h[kind.key])], box);
    plot.root.querySelector("canvas").setAttribute("aria-hidden", "true"); // the table above has the numbers
    return { plot, kind, box };
  });
}
