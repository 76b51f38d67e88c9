// What the page knows of the nodes, from one overview to the next.

const kept = 600; // seconds of history, for the plots

// history has for each node, by name and number, the rates of the last ten minutes.
export const history = { at: [], nodes: new Map() };

// rows joins members, loads and who is missing into a row for each node, with rates
// from the overview before.
export function rows(now, before) {
  const loads = new Map(now.loads.map((l) => [l.number, l]));
  const old = new Map((before ? before.loads : []).map((l) => [l.number, l]));
  const silent = new Set((now.missing || []).map((m) => m.number));
  const seen = new Set();
  const all = now.members.map((m) => {
    const load = loads.get(m.number) || now.loads.find((l) => l.name === m.name && !now.members.some((o) => o !== m && o.number === l.number));
    if (load) seen.add(load.number);
    return row(m, load, load && old.get(load.number), silent.has(m.number));
  });
  for (const l of now.loads) { // heard before it is seen as a member
    if (!seen.has(l.number)) all.push(row({ name: l.name, number: l.number, state: "ready" }, l, old.get(l.number), false));
  }
  return all;
}

function row(member, load, old, silent) {
  let state = member.state;
  if (silent && state !== "absent") state = "silent";
  else if (load && load.drain_phase !== "serving") state = "draining";
  const rates = { in: 0, out: 0, bytes: 0, accepted: 0 };
  const seconds = load && old ? (load.at_ms - old.at_ms) / 1000 : 0;
  const links = new Map();
  if (load) {
    const linksBefore = new Map((old && old.peers || []).map((p) => [p.number, p]));
    for (const p of load.peers || []) {
      const b = linksBefore.get(p.number);
      links.set(p.number, { ...p, rate: seconds > 0 && b ? Math.max(0, (p.frames_out - b.frames_out) / seconds) : 0 });
    }
  }
  if (seconds > 0) {
    rates.in = Math.max(0, (load.messages_in - old.messages_in) / seconds);
    rates.out = Math.max(0, (load.messages_out - old.messages_out) / seconds);
    rates.bytes = Math.max(0, (load.bytes_in - old.bytes_in + load.bytes_out - old.bytes_out) / seconds);
    rates.accepted = Math.max(0, (load.accepted - old.accepted) / seconds);
  }
  return { ...member, member, state, load, rates, links };
}

// keep adds rows to the history. A node that says nothing leaves a gap.
export function keep(all) {
  history.at.push(Date.now() / 1000);
  for (const r of all) {
    if (r.number && !history.nodes.has(r.number)) {
      const gap = () => new Array(history.at.length - 1).fill(null);
      history.nodes.set(r.number, { name: r.name, clients: gap(), in: gap(), out: gap(), pending: gap() });
    }
  }
  const now = new Map(all.map((r) => [r.number, r]));
  const over = history.at.length > kept;
  if (over) history.at.shift();
  for (const [number, h] of history.nodes) {
    const r = now.get(number);
    const l = r && r.load;
    if (r) h.name = r.name;
    h.clients.push(l ? l.connections : null);
    h.in.push(l ? r.rates.in : null);
    h.out.push(l ? r.rates.out : null);
    h.pending.push(l ? l.pending_bytes : null);
    if (over) for (const series of [h.clients, h.in, h.out, h.pending]) series.shift();
    if (!r && h.clients.every((v) => v === null)) history.nodes.delete(number);
  }
}

// problems says in words what is wrong, the worst first.
export function problems(all) {
  const said = [];
  const bad = (text) => said.push({ level: "bad", text });
  const warn = (text) => said.push({ level: "warn", text });
  for (const r of all) {
    if (r.state === "absent") bad(`${r.name || r.number} is absent: it was lost, and its clients are out of reach. If it does not come back, retire it.`);
    if (r.state === "silent") bad(`${r.name || r.number} does not answer.`);
    for (const [, p] of r.links) {
      const other = all.find((o) => o.number === p.number);
      if (p.link === "unreachable" && other && other.state !== "absent" && other.state !== "silent") bad(`${r.name} cannot reach ${p.name}.`);
    }
  }
  const answering = all.filter((r) => r.load);
  const voters = answering.filter((r) => r.load.role === "voter");
  if (voters.length && !voters.some((r) => r.load.leader)) bad("No voter that answers leads: nodes go on serving, but new ones get no number.");
  for (const r of all) {
    if (r.state === "joining") warn(`${r.name} is joining.`);
    if (r.state === "draining") warn(`${r.name} is draining${r.load ? `: ${r.load.left} of its connections are left` : ""}.`);
    const l = r.load;
    if (l && l.max_connections > 0 && l.connections >= l.max_connections * 0.9) warn(`${r.name} has ${l.connections} of at most ${l.max_connections} connections.`);
  }
  return said;
}
