// A person at the dashboard of a cluster of three nodes: what a browser shows, and what
// it asks for. Steps that another program has to do in between are lines "need WHAT" on
// the output, which that answers with a line on the input. Every thing that was tried is
// a line "ok NAME"; the first failure ends the program.
//
//   node peer.mjs '{"chromium": …, "pages": […], "token": …, "pictures": …}'

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { chromium: executablePath, pages: urls, token, ws, pictures } = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const patience = 30000;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function need(what) {
  console.log("need " + what);
  const { value, done } = await answers.next();
  assert(!done, "nobody does: " + what);
  return value;
}

const ok = (name) => console.log("ok " + name);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad", "--no-proxy-server"] });
const foreign = []; // requests to other hosts
const faults = []; // of scripts, and against the policy

// open returns a page that shows a dashboard, and has its token.
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const at = new URL(url).host;
  page.on("request", (r) => { if (new URL(r.url()).host !== at) foreign.push(r.url()); });
  page.on("pageerror", (e) => faults.push(String(e)));
  page.on("console", (m) => { if (m.type() === "error" && !/status of 4\d\d/.test(m.text()) && !/ERR_/.test(m.text())) faults.push(m.text()); });
  await page.goto(url + "/ui/");
  await page.getByTestId("token").waitFor();
  await page.keyboard.type(token); // the box has the focus
  await page.keyboard.press("Enter");
  await page.getByText("All 3 nodes are ready and answer.").waitFor();
  return page;
}

const first = await open(urls[0]);
const second = await open(urls[1]);
ok("every node shows all three, once it has the token");

assert.equal(await first.locator("#node-rows tr").count(), 3);
const parts = await first.evaluate(() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((e) => e.name.includes("/ui/")).map((e) => [e.name, e.decodedBodySize]));
const weight = parts.reduce((sum, [, size]) => sum + size, 0);
assert(parts.length > 8 && weight > 50000 && weight < 150 * 1024, `the page weighs ${weight} bytes: ${parts}`);
ok(`the page weighs ${weight} bytes in ${parts.length} parts`);

// A send in one page arrives in another, with the keyboard alone.
await second.getByTestId("try-url").fill(ws);
await second.getByTestId("try-open").press("Enter");
const greeting = await second.getByTestId("try-log").getByText(/^[\d:]*flamingo [0-9a-f]{16}$/).textContent();
const id = greeting.slice(-16);
await first.getByTestId("id").focus();
await first.keyboard.type(id);
await first.keyboard.press("Enter");
await first.getByTestId("send-text").waitFor();
await first.getByTestId("id-look").focus();
await first.keyboard.press("Tab");
assert.equal(await first.evaluate(() => document.activeElement.dataset.testid), "send-text", "Tab leads to the message");
await first.keyboard.type("hello from the other page");
await first.keyboard.press("Enter");
await second.getByTestId("try-log").getByText("hello from the other page").waitFor();
await first.getByTestId("id-said").getByText(/written after \d+ µs/).waitFor();
ok("a send in one page arrives in another, by the keyboard alone");

await first.getByTestId("close").press("Enter");
await first.getByTestId("confirm-yes").press("Enter");
await second.getByTestId("try-log").getByText("closed: 1000").waitFor();
await first.getByTestId("id").press("Enter");
await first.getByTestId("id-said").getByText(/^Gone: closed .*reason/).waitFor();
ok("a close ends it, and its id is gone");

await first.getByTestId("id").fill("no id");
await first.getByTestId("id").press("Enter");
await first.getByTestId("id-said").filter({ hasText: "id" }).waitFor();
await first.getByTestId("conn-first").click();
await first.locator("#conn-rows tr").first().waitFor();
await first.getByTestId("conn-filter").fill("nothing has this");
assert.equal(await first.locator("#conn-rows tr:visible").count(), 0);
await first.getByTestId("conn-filter").fill("");
await first.getByTestId("group-first").click();
await first.getByTestId("groups").getByText("room/7").waitFor();
ok("connections and groups are listed");

await first.locator("[data-testid=mesh] td b").filter({ hasText: /µs|ms/ }).first().waitFor();
await first.locator(".u-legend").first().waitFor();
ok("the mesh has round trips, and the plots are drawn");

// Axe finds no serious fault, light or dark; nothing is wider than 320 pixels.
async function check(page, name) {
  const { violations } = await page.evaluate(`${axe}; axe.run()`);
  const serious = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  assert.deepEqual(serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ").slice(0, 300)}`), [], name);
}
if (pictures) await new Promise((done) => setTimeout(done, pictures.seconds * 1000));
const shot = async (page, name, options = {}) => { if (pictures) await page.screenshot({ path: `${pictures.to}/${name}.png`, ...options }); };
await first.evaluate(() => window.scrollTo(0, 0));
await shot(first, "dashboard");
await check(first, "light");
await first.emulateMedia({ colorScheme: "dark" });
await first.waitForFunction(() => getComputedStyle(document.body).backgroundColor === "rgb(21, 23, 26)");
await first.waitForTimeout(1200); // the plots follow with the next overview
await shot(first, "dashboard-dark");
await check(first, "dark");
await first.emulateMedia({ colorScheme: "light" });
await first.setViewportSize({ width: 320, height: 720 });
const wide = await first.evaluate(() => document.documentElement.scrollWidth);
assert(wide <= 320, `${wide} pixels wide in a window of 320`);
await shot(first, "dashboard-narrow");
await check(first, "narrow");
await first.setViewportSize({ width: 1280, height: 900 });
ok("light, dark and narrow are readable, as far as axe can tell");

// A button that has the focus keeps it while the numbers change.
await first.getByTestId("drain-birch").focus();
await first.waitForTimeout(2500);
assert.equal(await first.evaluate(() => document.activeElement.dataset.testid), "drain-birch", "the focus stays");
await first.keyboard.press("Enter");
assert.equal(await first.evaluate(() => document.activeElement.textContent), "Cancel", "the harmless button has the focus");
await first.getByTestId("confirm-yes").press("Enter");
await first.getByTestId("node-birch").getByText(/^draining/).waitFor();
await first.locator("[data-testid=node-birch] progress").waitFor();
await first.getByTestId("problems").getByText(/birch is draining/).waitFor();
await first.getByTestId("events").getByText("asked birch to drain").waitFor();
await shot(first, "dashboard-drain");
ok("a drain of another node is begun and shows its progress");

await need("kill cedar");
await first.locator("tr[data-testid=node-cedar].silent, tr[data-testid=node-cedar].absent").waitFor();
await first.getByTestId("problems").getByText(/cedar (does not answer|is absent)/).waitFor();
await first.getByTestId("events").getByText(/cedar was ready, and is/).waitFor();
ok("the row of a node that was killed turns");

assert.deepEqual(foreign.filter((u) => !u.startsWith("ws://127.")), [], "requests elsewhere");
assert.deepEqual(faults, []);
ok("nothing was asked of anybody else, and no script failed");
await browser.close();
process.exit(0);
