// The page in a browser: what happens to servers is on it within a second, it can be used by keyboard, and axe finds no fault.
// node page.mjs BROWSER PAGE-URL MASTER FIRST SECOND LEAF EMPTY [AXE], where MASTER … EMPTY are ports: a chain, and a server that follows nobody yet.
import { connect } from "node:net";
import { existsSync, readFileSync } from "node:fs";
import { Browser, sleep } from "./browser.mjs";

const SOON_MS = 1000;
const [program, url, ...rest] = process.argv.slice(2);
const [master, first, second, leaf, empty] = rest.slice(0, 5).map(Number);
const axe = rest[5];

// A command to a server; answers the first line of its reply, or whether it has some text.
function command(port, line, text) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${line}\r\n`));
    socket.once("data", (data) => { socket.destroy(); resolve(text ? text.test(data.toString()) : data.toString().split("\r\n")[0]); });
    socket.once("error", reject);
  });
}

async function must(port, line) {
  const reply = await command(port, line);
  if (reply.startsWith("-")) throw new Error(`${line}: ${reply}`);
  return reply;
}

function check(holds, what) {
  if (!holds) throw new Error(what);
  console.log(`ok: ${what}`);
}

// Does something and waits until the page shows it; the time runs from when it is done.
async function shown(browser, what, act, expression, patience = 15000) {
  let done = 0;
  const acting = act().then(() => { done = Date.now(); });
  await browser.until(expression, patience);
  const seen = Date.now();
  await acting;
  const ms = Math.max(0, seen - done);
  check(ms <= SOON_MS, `${what}: on the page after ${ms} ms`);
}

// Hands over, and waits until the other is the master.
async function handOver(from, to) {
  await must(from, `FAILOVER TO 127.0.0.1 ${to}`);
  while (!(await command(to, "INFO replication", /role:master/))) await sleep(10);
}

const events = "[...document.querySelectorAll('#events li')].map((li) => li.textContent)";
const tone = (port) => `document.querySelector('.button[aria-label^="127.0.0.1:${port},"]')?.closest('.node').getAttribute('class')`;
const happened = (text) => `${events}.some((line) => line.includes(${JSON.stringify(text)}))`;

async function happenings(browser) {
  await browser.until(`document.querySelectorAll('.node').length === 4 && document.querySelectorAll('.link').length === 3`, 15000);
  check(await browser.evaluate("document.getElementById('health').textContent") === "All 3 replicas are in step", "the sentence says that all is well");
  await shown(browser, "a partial sync", () => must(first, "CLIENT KILL TYPE master"), happened(`127.0.0.1:${first} went on where it was`));
  await shown(browser, "a cut", () => must(second, "REPLICAOF 127.0.0.1 1"), `${tone(second)}.includes('far')`);
  await shown(browser, "the link again", () => must(second, `REPLICAOF 127.0.0.1 ${master}`), `${tone(second)}.includes('step')`);
  await shown(browser, "a full sync", () => must(empty, `REPLICAOF 127.0.0.1 ${master}`), `${happened(`127.0.0.1:${empty} cop`)} && ${tone(empty)} !== undefined`);
  await browser.until(`${tone(empty)}.includes('step')`, 20000);
  await shown(browser, "a failover", () => handOver(master, second), happened(`127.0.0.1:${second} was made master`));
  await browser.until(`document.getElementById('live').textContent.length > 0`, 5000);
  check(true, "news are said to those who listen");
  await browser.until(`${tone(master)}.includes('step') && ${tone(leaf)}.includes('step')`, 20000);
  await shown(browser, "a failover back", () => handOver(second, master), happened(`127.0.0.1:${master} was made master`));
  await browser.until(`document.getElementById('light').className.includes('step')`, 20000);
}

async function byKeyboard(browser) {
  const active = "document.activeElement.getAttribute('aria-label') || document.activeElement.id || document.activeElement.tagName";
  await browser.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)");
  let found = "";
  for (let i = 0; i < 20 && !found.startsWith(`127.0.0.1:${master},`); i++) {
    await browser.key("Tab");
    found = await browser.evaluate(active);
  }
  check(found.startsWith(`127.0.0.1:${master},`), "the master is reached with the tabulator");
  await browser.key("Enter");
  check(await browser.evaluate("!document.getElementById('node-card').hidden"), "Enter shows what is known of it");
  await browser.evaluate("document.getElementById('table-switch').click()");
  check(await browser.evaluate("document.querySelectorAll('#table-body tr').length") === 5, "the table has every node");
}

async function actions(browser) {
  await browser.evaluate("document.getElementById('verify').click()");
  await browser.until("document.getElementById('login-dialog').open", 2000);
  await browser.evaluate("document.getElementById('login-form').requestSubmit()");
  await browser.until("document.querySelectorAll('#proof li').length >= 3", 20000);
  const proof = await browser.evaluate("[...document.querySelectorAll('#proof li')].map((li) => li.className + li.textContent)");
  check(proof.every((line) => line.startsWith("step")), `the replicas are equal: ${proof.length}`);
  check((await browser.evaluate("document.getElementById('login').textContent")) === "Log out default", "who is logged in is shown");
  check((await browser.evaluate("document.cookie")) === "", "scripts can't read the cookie");
}

async function languagesAndThemes(browser) {
  await browser.evaluate("document.getElementById('language').click()");
  check(await browser.evaluate("document.documentElement.lang + document.getElementById('doctor-title').textContent") === "zh-CN诊断结论", "the page speaks Chinese");
  const left = await browser.evaluate("[...document.querySelectorAll('h2, button, th')].map((e) => e.textContent).filter((text) => /[a-z]{4}/i.test(text) && !/English|default|rivulet/i.test(text))");
  check(left.length === 0, `nothing of it is left in English${left.length ? `: ${left}` : ""}`);
  await must(master, "CONFIG SET repl-timeout 21");
  const findings = "[...document.querySelectorAll('#findings li')].map((li) => li.textContent).join(' ')";
  await browser.until(`${findings}.includes('repl-timeout 是 21 秒')`, 10000);
  const heard = await browser.evaluate(`${findings} + document.getElementById('measured').textContent`);
  check(/测得：.*每秒增长/.test(heard) && !/[a-z] (is|are|the|was) [a-z]/i.test(heard), `what servers say is in Chinese, too: ${heard}`);
  check(await browser.evaluate("document.querySelectorAll('#findings [lang], #events [lang]').length") === 0, "and nothing is marked as English");
  await must(master, "CONFIG SET repl-timeout 60");
  await browser.evaluate("document.getElementById('language').click()");
  await browser.media({ "prefers-color-scheme": "dark", "prefers-reduced-motion": "reduce" });
  check(await comesTo(browser, "document.documentElement.dataset.theme", "dark"), "the theme is the system's");
  check(await comesTo(browser, "getComputedStyle(document.querySelector('.link .flow')).animationName", "none"), "nothing moves where that is not wanted");
  await browser.evaluate("document.getElementById('theme').click()");
  check(await browser.evaluate("document.documentElement.dataset.theme") === "light", "the switch goes before the system");
  await browser.media({ "prefers-color-scheme": "light", "prefers-reduced-motion": "no-preference" });
}

// What the system says reaches a page a moment later.
async function comesTo(browser, expression, wanted) {
  for (let tries = 0; tries < 60; tries++) {
    if (await browser.evaluate(expression) === wanted) return true;
    await sleep(50);
  }
  return false;
}

// Tiles whose line lies over their words.
const COVERED = `[...document.querySelectorAll('.tile')].filter((tile) => {
  const line = tile.querySelector('svg')?.getBoundingClientRect();
  const words = [...tile.querySelectorAll('div')].map((div) => { const range = document.createRange(); range.selectNodeContents(div); return range.getBoundingClientRect(); });
  return line && line.width > 0 && words.some((at) => at.right > line.left && at.left < line.right && at.bottom > line.top && at.top < line.bottom);
}).map((tile) => tile.textContent)`;

async function widths(browser) {
  for (const width of [1440, 1180, 1090, 820, 390, 360]) {
    await browser.viewport(width, 1000);
    await sleep(300);
    const covered = await browser.evaluate(COVERED);
    check(covered.length === 0, `no line lies over words at ${width}${covered.length ? `: ${covered}` : ""}`);
    check(await browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), `nothing sticks out at ${width}`);
  }
}

async function accessibility(browser) {
  if (!axe || !existsSync(axe)) return console.log("left out: axe-core is not installed (npm install in tests/browser)");
  await browser.evaluate(readFileSync(axe, "utf8") + "; true");
  for (const [width, theme] of [[1440, "light"], [1440, "dark"], [820, "light"], [390, "dark"], [390, "light"]]) {
    await browser.viewport(width, 1000);
    await browser.evaluate(`document.documentElement.dataset.theme !== ${JSON.stringify(theme)} && document.getElementById('theme').click()`);
    await sleep(700);
    const found = await browser.evaluate("axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.any.map((a) => a.message).join(' ')}`).join('; ')}`))");
    check(found.length === 0, `axe finds no fault at ${width}, ${theme}${found.length ? `:\n${found.join("\n")}` : ""}`);
  }
}

const browser = await Browser.start(program);
try {
  await browser.viewport(1440, 1000);
  await browser.media({ "prefers-color-scheme": "light" });
  await browser.open(url);
  await happenings(browser);
  await byKeyboard(browser);
  await actions(browser);
  await languagesAndThemes(browser);
  await widths(browser);
  await accessibility(browser);
  check(browser.messages.length === 0, `the browser has nothing to complain about${browser.messages.map((m) => `\n${m}`).join("")}`);
} catch (error) {
  console.log(await browser.evaluate(`document.body.innerText`).catch(() => ""));
  console.log(browser.messages.join("\n"));
  throw error;
} finally {
  await browser.close();
}
