// The pictures of the documentation: a master under load, two replicas and a chain, while one more replica copies everything.
// node screenshot.mjs BROWSER SERVER FOLDER PORT, where PORT and the next ones are free. `cargo xtask screenshot` calls it.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Browser, sleep } from "./browser.mjs";

const [program, server, folder, first] = process.argv.slice(2);
const [master, near, far, leaf, late, page] = [0, 1, 2, 3, 4, 10].map((n) => Number(first) + n);
const KEYS = 120000;
// So that a copy of these keys takes half a minute, in which the pictures are made.
const SAVE_DELAY_US = 250;
const SHOTS = [["page-1440", 1440, 960, "light", "en"], ["page-1440-dark", 1440, 960, "dark", "en"], ["page-820", 820, 1180, "light", "en"],
  ["page-1440-zh", 1440, 960, "light", "zh"], ["page-1440-zh-dark", 1440, 960, "dark", "zh"], ["page-390", 390, 1180, "dark", "zh"]];

const data = mkdtempSync(join(tmpdir(), "rivulet-screenshot-"));
const servers = [];

function start(port, ...args) {
  const dir = join(data, String(port));
  mkdirSync(dir);
  const common = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--logfile", join(dir, "log"), "--repl-diskless-sync-delay", "0", "--repl-backlog-size", "8mb", "--repl-backlog-disk-size", "64mb"];
  servers.push(spawn(server, [...common, ...args].map(String), { stdio: "ignore" }));
}

function command(port, line) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${line}\r\n`));
    socket.once("data", (reply) => { socket.destroy(); resolve(reply.toString()); });
    socket.once("error", reject);
  });
}

async function until(what, holds) {
  for (const end = Date.now() + 60000; Date.now() < end; await sleep(50)) if (await holds().catch(() => false)) return;
  throw new Error(`waited in vain until ${what}`);
}

const isUp = (port) => until(`${port} follows`, async () => (await command(port, "INFO replication")).includes("master_link_status:up"));

// Writes that swell and ebb, so that the lines of the page are not straight.
function load(port) {
  const socket = connect(port, "127.0.0.1");
  socket.on("data", () => {});
  socket.on("error", () => {});
  const value = "x".repeat(700);
  const tick = () => {
    const count = 12 + Math.round(9 * Math.sin(Date.now() / 2600) + 5 * Math.random());
    let batch = "";
    for (let i = 0; i < count; i++) batch += `SET user:${Math.floor(Math.random() * KEYS)} ${value}\r\n`;
    socket.write(batch);
  };
  return setInterval(tick, 10);
}

async function scene() {
  start(master, "--http-port", page, "--enable-debug-command", "yes");
  await until("the master answers", async () => (await command(master, "PING")).startsWith("+PONG"));
  await command(master, `DEBUG POPULATE ${KEYS} user 300`);
  for (const port of [near, far]) start(port, "--replicaof", "127.0.0.1", master);
  await Promise.all([near, far].map(isUp));
  start(leaf, "--replicaof", "127.0.0.1", near);
  await isUp(leaf);
  await command(master, `CONFIG SET rdb-key-save-delay ${SAVE_DELAY_US}`);
  const writes = load(master);
  const browser = await Browser.start(program);
  try {
    await browser.viewport(1440, 960);
    await browser.media({ "prefers-color-scheme": "light" });
    await browser.open(`http://127.0.0.1:${page}/`);
    await sleep(20000);
    await command(far, "CLIENT KILL TYPE master");
    await sleep(6000);
    start(late, "--replicaof", "127.0.0.1", master);
    await browser.until("document.querySelector('.node.sync .state')?.textContent.includes('left')", 30000);
    await sleep(7000);
    for (const shot of SHOTS) await shoot(browser, shot);
  } finally {
    clearInterval(writes);
    await browser.close();
  }
}

async function shoot(browser, [name, width, height, theme, language]) {
  await browser.viewport(width, height);
  await browser.media({ "prefers-color-scheme": theme });
  const lang = language === "zh" ? "zh-CN" : "en";
  await browser.evaluate(`document.documentElement.lang === ${JSON.stringify(lang)} || document.getElementById("language").click()`);
  await sleep(1200);
  await browser.screenshot(join(folder, `${name}.png`));
}

try {
  await scene();
} finally {
  for (const process of servers) process.kill("SIGKILL");
  await sleep(300);
  rmSync(data, { recursive: true, force: true });
}
process.exit(0);
