// Chromium, headless, over its DevTools protocol: no packages are needed. Run with `node --experimental-websocket` where Node.js is older than 22.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// What makes it look for nothing on the network but what it is told to open.
const QUIET = ["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb"];
const START_MS = 20000;
const ANSWER_MS = 15000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Browser {
  static async start(program) {
    const browser = new Browser();
    browser.folder = mkdtempSync(join(tmpdir(), "rivulet-browser-"));
    // Chromium's own sandbox does not let root in.
    const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const flags = [...QUIET, ...root, "--remote-debugging-port=0", `--user-data-dir=${browser.folder}`, "about:blank"];
    browser.process = spawn(program, flags, { stdio: "ignore" });
    browser.process.on("exit", () => { browser.isGone = true; });
    try {
      const port = await browser.port();
      const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
      await browser.connect(targets.find((target) => target.type === "page").webSocketDebuggerUrl);
      return browser;
    } catch (error) {
      browser.process.kill("SIGKILL");
      throw error;
    }
  }

  async port() {
    const file = join(this.folder, "DevToolsActivePort");
    for (const until = Date.now() + START_MS; Date.now() < until; await sleep(50)) {
      if (this.isGone) throw new Error("the browser ended at its start");
      try {
        const [port, path] = readFileSync(file, "utf8").split("\n");
        // Both lines are there when it is written.
        if (port && path) return port;
      } catch { /* It is not there yet. */ }
    }
    throw new Error("the browser did not start in time");
  }

  connect(url) {
    this.waiting = new Map();
    this.messages = [];
    this.number = 0;
    this.socket = new WebSocket(url);
    this.socket.addEventListener("message", ({ data }) => this.hear(JSON.parse(data)));
    // A browser that ends, as when it is told to, answers nothing any more.
    this.socket.addEventListener("close", () => { for (const { reject } of this.waiting.values()) reject(new Error("the browser has ended")); });
    return new Promise((resolve, reject) => {
      this.socket.addEventListener("open", resolve);
      this.socket.addEventListener("error", () => reject(new Error("no connection to the browser")));
    });
  }

  hear(message) {
    if (message.id) {
      const { resolve, reject } = this.waiting.get(message.id) || {};
      this.waiting.delete(message.id);
      if (message.error) reject?.(new Error(message.error.message));
      else resolve?.(message.result);
      return;
    }
    const { method, params } = message;
    if (method === "Runtime.exceptionThrown") this.messages.push(params.exceptionDetails.exception?.description || params.exceptionDetails.text);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") this.messages.push(params.args.map((arg) => arg.value).join(" "));
    if (method === "Log.entryAdded" && params.entry.level === "error") this.messages.push(params.entry.text);
  }

  send(method, params = {}) {
    const id = ++this.number;
    const answer = new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      setTimeout(() => reject(new Error(`${method} was not answered`)), ANSWER_MS).unref();
    });
    this.socket.send(JSON.stringify({ id, method, params }));
    return answer;
  }

  async open(url) {
    await this.send("Page.enable");
    await this.send("Runtime.enable");
    await this.send("Log.enable");
    await this.send("Page.navigate", { url });
    await this.until("document.readyState === 'complete'", 10000);
  }

  // What an expression is in the page.
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description || exceptionDetails.text);
    return result.value;
  }

  // Waits until an expression holds; answers how many ms that took.
  async until(expression, patience) {
    const began = Date.now();
    while (Date.now() - began < patience) {
      if (await this.evaluate(expression)) return Date.now() - began;
      await sleep(25);
    }
    throw new Error(`after ${patience} ms it does not hold: ${expression}`);
  }

  viewport(width, height, scale = 1) {
    return this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: width < 500 });
  }

  media(features) {
    return this.send("Emulation.setEmulatedMedia", { features: Object.entries(features).map(([name, value]) => ({ name, value })) });
  }

  async key(key, code = key) {
    const codes = { Enter: 13, Tab: 9, Escape: 27, " ": 32 };
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", key, code, text, windowsVirtualKeyCode: codes[key] });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", key, code, windowsVirtualKeyCode: codes[key] });
  }

  async screenshot(file, whole) {
    const { data } = await this.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: Boolean(whole), optimizeForSpeed: false });
    writeFileSync(file, Buffer.from(data, "base64"));
  }

  async close() {
    await this.send("Browser.close").catch(() => null);
    for (let i = 0; i < 100 && !this.isGone; i++) await sleep(20);
    if (!this.isGone) this.process.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
