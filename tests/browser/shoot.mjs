// Pictures of the page: node shoot.mjs BROWSER URL FILE WIDTHxHEIGHT light|dark en|zh [FILE …]
import { Browser, sleep } from "./browser.mjs";

const [program, url, ...wanted] = process.argv.slice(2);
const browser = await Browser.start(program);
try {
  await browser.open(url);
  for (let i = 0; i + 3 < wanted.length; i += 4) {
    const [file, size, theme, language] = wanted.slice(i, i + 4);
    const [width, height] = size.split("x").map(Number);
    await browser.viewport(width, height);
    await browser.media({ "prefers-color-scheme": theme });
    await browser.evaluate(`localStorage.setItem("rivulet-language", ${JSON.stringify(language)}); location.reload()`);
    await browser.until("document.querySelectorAll('.node').length > 1", 10000);
    // A few pictures, so that rates and lines are there.
    await sleep(Number(process.env.SETTLE_MS || 3000));
    await browser.screenshot(file);
  }
  for (const message of browser.messages) console.error(`the page says: ${message}`);
} finally {
  await browser.close();
}
