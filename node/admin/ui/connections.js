// Connections, one by its id and page by page, and groups.

import { $, ask, bytes, clock, confirmed, count, el, get, since } from "./api.js";

export function startConnections() {
  $("id-form").addEventListener("submit", (e) => {
    e.preventDefault();
    look($("id").value);
  });
  $("conn-first").addEventListener("click", () => connPage(""));
  $("conn-next").addEventListener("click", () => connPage(nextConns));
  $("conn-filter").addEventListener("input", filter);
  $("group-first").addEventListener("click", () => groupPage(""));
  $("group-next").addEventListener("click", () => groupPage(nextGroups));
  $("conn-hint").textContent = "A page of 50 at a time.";
}

const part = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
const idButton = (id) => el("button", { type: "button", class: "id", onclick: () => { $("id").value = id; look(id); $("id-card").scrollIntoView({ block: "nearest" }); } }, id);

let looked = 0; // look-ups so far: the answer to an earlier one is dropped

// look takes an id to pieces, and asks for its connection.
async function look(text) {
  const mine = ++looked;
  const id = text.trim().toLowerCase();
  const card = $("id-card");
  card.hidden = false;
  card.replaceChildren(el("p", {}, "looking …"));
  try {
    const parts = await get(`/api/v1/ids/${encodeURIComponent(id)}`);
    if (mine !== looked) return;
    const dl = el("dl", { "data-testid": "id-parts" }, part("Node number", parts.node_number), part("Serial", String(parts.serial)), part("Its node began", new Date(parts.granted_at).toLocaleString()));
    card.replaceChildren(dl);
    const c = await get(`/api/v1/connections/${id}`);
    if (mine !== looked) return;
    const { groups } = await get(`/api/v1/connections/${id}/groups`).catch(() => ({ groups: [] }));
    if (mine !== looked) return;
    dl.append(part("Listener", c.listener), part("Remote", c.remote || "–"), part("Open for", since(Date.now() - Date.parse(c.opened_at))),
      part("Received", `${count(c.in.messages)} messages, ${bytes(c.in.bytes)}`), part("Sent", `${count(c.out.messages)} messages, ${bytes(c.out.bytes)}`), part("Pending", bytes(c.out.pending_bytes)));
    if (c.tls) dl.append(part("TLS", c.tls.version));
    if (c.web_socket) dl.append(part("Page", c.web_socket.origin || "–"));
    if (groups.length) dl.append(part("Groups", groups.join(", ")));
    for (const [k, v] of Object.entries(c.meta || {})) dl.append(part(k, v));
    card.append(actions(id));
  } catch (problem) {
    if (mine !== looked) return;
    if (card.querySelector("p")) card.replaceChildren();
    const when = problem.details && problem.details.closed_at;
    card.append(el("p", { class: "said bad", "data-testid": "id-said" }, when ? `Gone: closed ${new Date(when).toLocaleString()}, reason ${problem.details.reason}.` : problem.message));
  }
}

function actions(id) {
  const said = el("p", { class: "said", role: "status", "data-testid": "id-said" });
  const say = (text, level) => { said.textContent = `${clock()} ${text}`; said.className = "said " + level; };
  const text = el("input", { placeholder: "A message", "aria-label": "Message for " + id, autocomplete: "off", "data-testid": "send-text" });
  const form = el("form", { class: "row" }, text, el("button", { "data-testid": "send" }, "Send"),
    el("button", { type: "button", class: "danger", "data-testid": "close", onclick: end }, "Close it"));
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    try {
      const answer = await (await ask(`/api/v1/connections/${id}/messages?ack=written`, { method: "POST", body: text.value, headers: { "Content-Type": "text/plain" } })).json();
      say(`${answer.outcome} after ${answer.elapsed_us} µs`, "good");
      text.value = "";
    } catch (problem) {
      say(problem.message, "bad");
    }
  });
  async function end() {
    if (!await confirmed("Close the connection?", `${id} is told nothing more after what it was sent already, and its id is gone for good.`, "Close it")) return;
    try {
      await ask(`/api/v1/connections/${id}`, { method: "DELETE" });
      say("closed", "good");
    } catch (problem) {
      say(problem.message, "bad");
    }
  }
  return el("div", {}, form, said);
}

let nextConns = "";

async function connPage(cursor) {
  try {
    const page = await get("/api/v1/connections?limit=50" + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
    nextConns = page.next || "";
    $("conn-next").disabled = !nextConns;
    const now = Date.now();
    $("conn-rows").replaceChildren(...page.items.map((c) => el("tr", {}, el("td", {}, idButton(c.id)), el("td", {}, c.listener), el("td", {}, c.remote || "–"),
      el("td", {}, since(now - Date.parse(c.opened_at))), el("td", { class: "n" }, count(c.in.messages)), el("td", { class: "n" }, count(c.out.messages)), el("td", { class: "n" }, bytes(c.out.pending_bytes)))));
    $("conn-first").textContent = "From the start";
    $("conn-hint").textContent = `${page.items.length} of the serving node, as of ${clock()}${nextConns ? "; there are more" : ""}.`;
    filter();
  } catch (problem) {
    $("conn-hint").textContent = problem.message;
  }
}

function filter() {
  const wanted = $("conn-filter").value.toLowerCase();
  for (const row of $("conn-rows").rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
}

let nextGroups = "";

async function groupPage(cursor) {
  try {
    const page = await get("/api/v1/groups?limit=50" + (cursor ? "&cursor=" + encodeURIComponent(cursor) : ""));
    nextGroups = page.next || "";
    $("group-next").disabled = !nextGroups;
    $("group-first").textContent = "From the start";
    const missing = (page.missing || []).map((m) => m.node).join(", ");
    $("group-hint").textContent = `${page.items.length} groups, as of ${clock()}${missing ? `; without those of ${missing}, which did not answer` : ""}.`;
    $("group-rows").replaceChildren(...page.items.map((g) => el("tr", {}, el("th", { scope: "row" }, g.group), el("td", { class: "n" }, count(g.count)),
      el("td", {}, el("button", { type: "button", onclick: (e) => showMembers(g.group, e.target) }, "Members")))));
  } catch (problem) {
    $("group-hint").textContent = problem.message;
  }
}

async function showMembers(group, button) {
  try {
    const page = await get(`/api/v1/groups/${encodeURIComponent(group)}?limit=20`);
    button.replaceWith(el("span", {}, ...page.items.flatMap((id) => [idButton(id), " "]), page.next ? `and ${page.count - page.items.length} more` : ""));
  } catch (problem) {
    $("group-hint").textContent = problem.message;
  }
}
