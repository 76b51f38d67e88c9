// A client in the page: a WebSocket to a listener, with its id and what it is sent.

import { $, clock, el } from "./api.js";

let socket;

function log(text, kind = "") {
  const list = $("try-log");
  list.append(el("li", { class: kind }, el("time", {}, clock()), text));
  while (list.children.length > 200) list.firstChild.remove();
  list.lastChild.scrollIntoView({ block: "nearest" });
}

export function startTry() {
  $("try-origin").textContent = `origin=${location.origin}`;
  $("try-form").addEventListener("submit", (e) => {
    e.preventDefault();
    if (socket) socket.close(1000);
    else connect($("try-url").value.trim() || $("try-url").placeholder);
  });
  $("try-say").addEventListener("submit", (e) => {
    e.preventDefault();
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    socket.send($("try-text").value);
    log("> " + $("try-text").value, "mine");
    $("try-text").value = "";
  });
}

function connect(url) {
  let mine;
  try {
    mine = new WebSocket(url);
  } catch (e) {
    log(`${url} is no address of a WebSocket: ${e.message}`, "mine");
    return;
  }
  socket = mine;
  mine.binaryType = "arraybuffer";
  $("try-open").textContent = "Disconnect";
  mine.addEventListener("open", () => { log("connected to " + url, "mine"); $("try-say").hidden = false; });
  mine.addEventListener("message", (e) => log(typeof e.data === "string" ? e.data : `${e.data.byteLength} bytes`));
  mine.addEventListener("close", (e) => {
    log(e.code === 1006 ? "not connected: nobody listens there, or it does not allow pages of this origin, or it broke" : `closed: ${e.code} ${e.reason}`, "mine");
    if (socket !== mine) return;
    socket = undefined;
    $("try-open").textContent = "Connect";
    $("try-say").hidden = true;
  });
}

let offered = "";

// offerListeners fills in where a page can connect.
export function offerListeners(all) {
  const urls = all.flatMap((r) => (r.load && r.load.listeners || []).filter((l) => l.startsWith("ws")))
    .map((l) => l.replace(/\/\/(\[::\]|0\.0\.0\.0)/, "//" + location.hostname));
  const key = urls.join();
  if (key === offered) return;
  offered = key;
  $("try-urls").replaceChildren(...urls.map((u) => el("option", { value: u })));
  if (urls.length && !$("try-url").value) $("try-url").value = urls[0];
}
