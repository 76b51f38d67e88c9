// The mesh: a cell for each pair of nodes, as the node of its row sees the link.

import { $, bytes, count, el, micros } from "./api.js";

const most = 24; // nodes; a matrix of more is no use to anybody

let nodes = "";

export function showMatrix(all) {
  const some = all.slice(0, most);
  const table = $("matrix");
  const names = some.map((r) => r.number + r.name).join(" ");
  if (names !== nodes) {
    nodes = names;
    table.replaceChildren(
      el("thead", {}, el("tr", {}, el("td", {}, all.length > most ? `${most} of ${all.length}` : ""), ...some.map((r) => el("th", { scope: "col" }, r.name || r.number)))),
      el("tbody", {}, ...some.map((r) => el("tr", {}, el("th", { scope: "row" }, r.name || r.number),
        ...some.map((to) => el("td", { "data-testid": `mesh-${r.name}-${to.name}` }, el("b"), el("small")))))));
  }
  some.forEach((from, i) => some.forEach((to, k) => fill(table.tBodies[0].rows[i].cells[k + 1], from, to)));
}

function fill(cell, from, to) {
  const link = from.links.get(to.number);
  const [big, small] = cell.children;
  if (from === to) {
    cell.className = "self";
    big.textContent = "";
    small.textContent = "itself";
  } else if (!from.load) {
    cell.className = "";
    big.textContent = "?";
    small.textContent = "no answer";
  } else if (!link || link.link !== "up") {
    cell.className = link && link.link === "unreachable" ? "down" : "";
    big.textContent = link ? link.link : "none";
    small.textContent = link && link.queue_bytes ? bytes(link.queue_bytes) + " waiting" : "";
  } else {
    cell.className = link.rate >= 5 ? "busy" : "";
    big.textContent = micros(link.rtt_us);
    small.textContent = `${count(Math.round(link.rate))}/s · ${bytes(link.queue_bytes)}`;
  }
}
