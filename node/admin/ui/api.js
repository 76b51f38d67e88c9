// The API, as the token of this tab may use it, and small helpers for the page.

export const $ = (id) => document.getElementById(id);

// el makes an element: attributes first, then children, which are text or elements.
export function el(tag, attrs = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== false) e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null));
  return e;
}

const key = "flamingo-token";
export const token = () => sessionStorage.getItem(key) || "";
export function setToken(t) {
  if (t) sessionStorage.setItem(key, t);
  else sessionStorage.removeItem(key);
}

// A Problem is what the API answers when it fails: RFC 9457.
export class Problem extends Error {
  constructor(details) {
    super(details.detail || details.title);
    this.slug = (details.type || "").replace("/problems/", "");
    this.outcome = details.outcome;
    this.details = details;
  }
}

// ask makes a request and returns its response, or throws a Problem.
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = "Bearer " + token();
  const resp = await fetch(path, { ...options, headers, cache: "no-store" });
  if (resp.ok) return resp;
  let details = { title: resp.status + " " + resp.statusText };
  try { details = await resp.json(); } catch { /* no problem of the API's */ }
  throw new Problem(details);
}

export const get = async (path) => (await ask(path)).json();

// follow hands over each line of a stream until it ends, or nothing has come for ten
// seconds. An EventSource cannot bear a token, so this reads the stream of a fetch.
export async function follow(path, each) {
  const giveUp = new AbortController();
  let late = setTimeout(() => giveUp.abort(), 10000);
  try {
    const reader = (await ask(path, { signal: giveUp.signal })).body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(late);
      late = setTimeout(() => giveUp.abort(), 10000);
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) each(JSON.parse(line));
    }
  } finally {
    clearTimeout(late);
  }
}

// confirmed asks in words before something that cannot be taken back.
export function confirmed(title, text, yes) {
  const dialog = $("confirm");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  dialog.querySelector(".danger").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

const units = ["", "k", "M", "G", "T"];
function scaled(n, step, names, sep) {
  let i = 0;
  while (Math.abs(n) >= step && i < names.length - 1) { n /= step; i++; }
  const digits = i === 0 ? (n > 0 && n < 10 && n % 1 ? 1 : 0) : n < 10 ? 1 : 0;
  return n.toFixed(digits) + (names[i] && sep + names[i]);
}
export const count = (n) => (n < 10000 ? (n % 1 ? scaled(n, 1e9, units, "") : String(n)) : scaled(n, 1000, units, ""));
export const bytes = (n) => scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB"], "\u00a0");
export const micros = (n) => (!n ? "–" : n < 1000 ? n + "\u00a0µs" : (n / 1000).toFixed(n < 10000 ? 1 : 0) + "\u00a0ms");
export function since(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}
export const clock = (at = new Date()) => at.toTimeString().slice(0, 8);
