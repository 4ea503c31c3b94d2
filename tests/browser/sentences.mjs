// Each pair of sentences.json is found again when its names are filled in, and not another one; words.js has the same words in both languages. No browser
// is needed.
// node sentences.mjs FOLDER-OF-THE-DOCUMENT
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";

const read = (name) => readFileSync(join(process.argv[2], name), "utf8");
const script = `${read("words.js")}; const SENTENCES = ${read("sentences.json")}; ${read("sentences.js")}; language = "zh"; ({ SENTENCES, WORDS, heard })`;
const { SENTENCES, WORDS, heard } = runInNewContext(script);

function equal(found, wanted, what) {
  if (found !== wanted) throw new Error(`${what}\n  is       ${found}\n  should be ${wanted}`);
}

const isNumber = (name) => name === "n" || name === "tenths";
const fill = (text, round) => text.replace(/\{(\w+)\}/g, (_, name) => (isNumber(name) ? `${round}7` : `10.0.0.${round}:6379`));
for (const [english, chinese] of SENTENCES) {
  for (const round of [1, 2]) {
    const { text, lang } = heard(fill(english, round));
    equal(text, fill(chinese, round), english);
    equal(lang, null, english);
  }
}

// The page's own words are there in both languages, with the same names in them.
const namesIn = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort().join();
equal(Object.keys(WORDS.zh).sort().join(), Object.keys(WORDS.en).sort().join(), "words");
for (const word of Object.keys(WORDS.en)) equal(namesIn(WORDS.zh[word]), namesIn(WORDS.en[word]), word);

// Sentences as a server says them, in which others stand.
const whole = [
  ["The backlog is too small. Replicas need 4.0 s on average to come back, and 1.0 MiB are written per second: the backlog of 1.0 MiB reaches back only 1.0 s. Set repl-backlog-size to 8mb, or to auto.",
    "积压缓冲区太小。从节点重连平均需要 4.0 秒，而每秒写入 1.0 MiB：1.0 MiB 的积压缓冲区只能回溯 1.0 秒。请将 repl-backlog-size 设为 8mb，或设为 auto。"],
  ["Measured: replicas came back 2 times, after 0.3 s on average and 1.5 s at most; the stream grows by 14 bytes per second; the backlog holds 1.0 MiB (auto), with 1024.0 MiB behind it on disk.",
    "测得：从节点重连 2 次，平均用时 0.3 秒，最长 1.5 秒；复制流每秒增长 14 字节；积压缓冲区容纳 1.0 MiB（自动），另有 1024.0 MiB 在磁盘上。"],
  ["3 times a replica was cut off because more waited for it than client-output-buffer-limit allows. Set client-output-buffer-limit to \"replica 1 2 60\", or to \"replica 0 0 0\" for no limit.",
    "有 3 次，等待发给从节点的数据超过了 client-output-buffer-limit，从节点因此被断开。请将 client-output-buffer-limit 设为 \"replica 1 2 60\"；若不要上限，则设为 \"replica 0 0 0\"。"],
  ["Replies to writes are errors after 50 ms: 1 replicas are online that count, and synchronous-replicas is 2. Bring replicas back, or set synchronous-replicas to 1.",
    "写命令的回复会在 50 毫秒后变为错误：在线且计入的从节点有 1 个，而 synchronous-replicas 是 2。请让从节点恢复，或将 synchronous-replicas 设为 1。"],
  ["Writes are refused: 1 replicas are connected and not more than 10 s behind, and min-replicas-to-write is 2. Bring replicas back, or set min-replicas-to-write to 1 or min-replicas-max-lag higher.",
    "写命令被拒绝：在线且落后不超过 10 秒的从节点有 1 个，而 min-replicas-to-write 是 2。请让从节点恢复，或将 min-replicas-to-write 设为 1，也可以调大 min-replicas-max-lag。"],
  ["70 bytes are held, more than repl-hold-limit (64) for replicas, of which this is the slowest", "为从节点保留的数据有 70 字节，超过 repl-hold-limit（64），而它是最慢的从节点"],
];
for (const [english, chinese] of whole) equal(heard(english).text, chinese, english);

// What no pair has is shown as it was said, and marked as English.
const unknown = heard("The moon is in the seventh house.");
equal(unknown.text, "The moon is in the seventh house.", "an unknown sentence");
equal(unknown.lang, "en", "its language");
equal(heard("a.b s").lang, "en", "digits are digits");
const long = "it ".repeat(100_000);
equal(heard(long).text, long, "a long text");
console.log(`ok: ${SENTENCES.length} pairs`);
