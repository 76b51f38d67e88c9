// The dashboard: follows the overview, and hands it to the parts of the page.

import { $, Problem, ask, bytes, clock, confirmed, count, el, follow, setToken, token } from "./api.js";
import { history, keep, problems, rows } from "./state.js";
import { showMatrix } from "./mesh.js";
import { showPlots } from "./plots.js";
import { startConnections } from "./connections.js";
import { offerListeners, startTry } from "./try.js";

let before; // the overview before
let rowsBefore = [];

function show(now) {
  const all = rows(now, before);
  keep(all);
  const self = all.find((r) => r.self);
  $("seen-from").textContent = self ? `seen from ${self.name}` : "";
  showStrip(all);
  showProblems(all);
  showNodes(all);
  showMatrix(all);
  if (!document.hidden) showPlots();
  offerListeners(all);
  noteEvents(all);
  before = now;
  rowsBefore = all;
}

function showStrip(all) {
  const sum = (f) => all.reduce((n, r) => n + (r.load ? f(r) : 0), 0);
  const frames = sum((r) => [...r.links.values()].reduce((n, p) => n + p.rate, 0));
  const ready = all.filter((r) => r.state === "ready").length;
  const cells = {
    Nodes: `${ready} of ${all.length}`,
    Clients: count(sum((r) => r.load.connections)),
    "Received /s": count(Math.round(sum((r) => r.rates.in))),
    "Written /s": count(Math.round(sum((r) => r.rates.out))),
    "Traffic /s": bytes(Math.round(sum((r) => r.rates.bytes))),
    "Frames /s": count(Math.round(frames)),
    Pending: bytes(sum((r) => r.load.pending_bytes)),
    Lost: count(sum((r) => r.load.lost)),
  };
  const strip = $("strip");
  for (const [name, value] of Object.entries(cells)) {
    let cell = strip.querySelector(`[data-cell="${name}"]`);
    if (!cell) strip.append(cell = el("div", { "data-cell": name }, el("dt", {}, name), el("dd", {})));
    cell.lastChild.textContent = value;
  }
}

function showProblems(all) {
  const said = problems(all);
  if (!said.length) said.push({ level: "good", text: all.length > 1 ? `All ${all.length} nodes are ready and answer.` : "The node is ready, and stands alone." });
  const list = $("problems");
  const text = JSON.stringify(said);
  if (list.dataset.said === text) return; // a screen reader hears it once
  list.dataset.said = text;
  list.replaceChildren(...said.map((p) => el("li", { class: p.level }, p.text)));
}

// Rows are changed in place, so that a button that has the focus keeps it.
const shown = new Map();

function showNodes(all) {
  const present = new Set();
  for (const r of all) {
    const key = r.number || r.name;
    present.add(key);
    if (!shown.has(key)) shown.set(key, nodeRow(r));
    fill(shown.get(key), r);
    $("node-rows").append(...(shown.get(key).tr.isConnected ? [] : [shown.get(key).tr]));
  }
  for (const [key, row] of shown) {
    if (!present.has(key)) { row.tr.remove(); shown.delete(key); }
  }
}

function nodeRow(r) {
  const cells = {};
  const td = (name, attrs = {}) => (cells[name] = el("td", attrs));
  cells.name = el("th", { scope: "row" });
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 120 24");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.append(path);
  const drain = el("button", { type: "button", "data-testid": "drain-" + r.name, onclick: () => drainNode(r) }, "Drain");
  const progress = el("progress", { hidden: true });
  const tr = el("tr", { "data-testid": "node-" + r.name },
    cells.name, td("state", { class: "state" }), td("clients", { class: "n" }), el("td", {}, svg), td("in", { class: "n" }), td("out", { class: "n" }),
    td("pending", { class: "n" }), td("lost", { class: "n" }), td("role"), el("td", {}, cells.number = el("code")), el("td", {}, drain, progress));
  return { tr, cells, path, svg, drain, progress };
}

function fill({ tr, cells, path, svg, drain, progress }, r) {
  const l = r.load;
  tr.className = r.state;
  cells.state.className = "state " + r.state;
  const phase = l && l.drain_phase !== "serving" ? l.drain_phase : "";
  const text = {
    name: r.name || "(no name)",
    state: phase ? `draining: ${phase === "ending" ? `${l.left} left` : phase}` : r.state === "silent" ? "no answer" : r.state,
    clients: l ? count(l.connections) : "–", in: l ? count(Math.round(r.rates.in)) : "–", out: l ? count(Math.round(r.rates.out)) : "–",
    pending: l ? bytes(l.pending_bytes) : "–", lost: l ? count(l.lost) : "–",
    role: l ? (l.leader ? "leader" : l.role || "alone") : "–", number: r.number || "–",
  };
  for (const [name, value] of Object.entries(text)) if (cells[name].textContent !== value) cells[name].textContent = value;
  const h = history.nodes.get(r.number);
  path.setAttribute("d", h ? sparkline(h.clients.slice(-120)) : "");
  svg.setAttribute("aria-label", "clients in the last two minutes");
  drain.hidden = phase !== "" || !l;
  progress.hidden = phase === "";
  if (phase) {
    progress.max = Math.max(1, l.departed + l.left);
    progress.value = phase === "drained" ? progress.max : l.departed;
    progress.setAttribute("aria-label", `${l.departed} of ${l.departed + l.left} connections have been ended`);
  }
}

function sparkline(values) {
  const most = Math.max(1, ...values);
  let d = "";
  values.forEach((v, i) => {
    if (v === null) return;
    d += `${d && values[i - 1] !== null ? "L" : "M"}${(120 - values.length + i).toFixed(0)} ${(22 - (v / most) * 20).toFixed(1)}`;
  });
  return d;
}

async function drainNode(r) {
  const clients = r.load ? r.load.connections : 0;
  const sure = await confirmed(`Drain ${r.name}?`, `It takes no new clients after a while, ends its ${clients} connections evenly, and leaves the cluster. A drain cannot be stopped.`, "Drain");
  if (!sure) return;
  try {
    await ask(`/api/v1/nodes/${r.number}/drain`, { method: "POST" });
    event(`asked ${r.name} to drain`);
  } catch (problem) {
    event(`${r.name} does not drain: ${problem.message}`);
    $("problems").prepend(el("li", { class: "bad" }, `${r.name} does not drain: ${problem.message}`));
    $("problems").dataset.said = "";
  }
}

function event(text) {
  const list = $("event-list");
  list.prepend(el("li", {}, el("time", {}, clock()), text));
  while (list.children.length > 200) list.lastChild.remove();
}

// noteEvents tells what has changed since the rows before.
function noteEvents(all) {
  const old = new Map(rowsBefore.map((r) => [r.number || r.name, r]));
  for (const r of all) {
    const b = old.get(r.number || r.name);
    const name = r.name || r.number;
    if (rowsBefore.length && !b) event(`${name} has joined`);
    if (b && b.state !== r.state) event(`${name} was ${b.state}, and is ${r.state === "silent" ? "silent: it does not answer" : r.state}`);
    if (b && r.load && b.load && r.load.leader && !b.load.leader) event(`${name} leads the voters`);
    if (b) {
      for (const [number, p] of r.links) {
        const was = b.links.get(number);
        if (was && was.link !== p.link && (p.link === "unreachable" || was.link === "unreachable")) event(`link from ${name} to ${p.name} is ${p.link}`);
      }
    }
  }
  const now = new Set(all.map((r) => r.number || r.name));
  for (const [key, b] of old) if (!now.has(key)) event(`${b.name || key} has left`);
}

function live(text, level) {
  $("live").textContent = text;
  $("live").className = "pill " + level;
}

// run follows the overview for ever; after a break it waits a second, and up to ten.
async function run() {
  for (let pause = 1; ; pause = Math.min(pause * 2, 10)) {
    try {
      await follow("/api/v1/overview?follow=true", (line) => {
        live("live", "good");
        pause = 1;
        show(line);
      });
      live("the node has ended the stream; trying again", "warn");
    } catch (problem) {
      if (problem instanceof Problem && (problem.slug === "unauthorized" || problem.slug === "scope")) {
        live("a token is needed", "warn");
        openTokens(problem.slug === "scope" || token() ? problem.message : "");
        await changed();
        pause = 0.5;
        continue;
      }
      live(problem instanceof Problem ? problem.message : "no connection; trying again", "bad");
    }
    await new Promise((done) => setTimeout(done, pause * 1000));
  }
}

let tokenChanged = () => {};
const changed = () => new Promise((done) => { tokenChanged = done; });

function openTokens(said) {
  $("token-form").hidden = false;
  $("token-said").textContent = said;
  $("token").focus();
}

$("token-open").addEventListener("click", () => ($("token-form").hidden ? openTokens("") : ($("token-form").hidden = true)));
$("token-form").addEventListener("submit", (e) => {
  e.preventDefault();
  setToken($("token").value.trim());
  $("token").value = "";
  $("token-form").hidden = true;
  tokenChanged();
});
$("token-forget").addEventListener("click", () => {
  setToken("");
  location.reload();
});

startConnections();
startTry();
run();
