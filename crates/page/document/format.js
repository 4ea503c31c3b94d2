// Numbers, times and names as people read them.
function bytes(n) {
  if (n == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) { n /= 1000; unit += 1; }
  return `${unit === 0 || n >= 99.5 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

const rate = (n) => (n == null ? "–" : `${bytes(n)}/s`);
const locale = () => (language === "zh" ? "zh-CN" : "en-GB");
const count = (n) => Math.round(n).toLocaleString(locale());
// For where there is little room.
const about = (n) => n.toLocaleString(locale(), n < 1e5 ? { maximumFractionDigits: 0 } : { notation: "compact", maximumSignificantDigits: 3 });
const percentOf = (n) => `${n < 10 && n > 0 ? n.toFixed(1) : Math.floor(n)} %`;

function duration(seconds) {
  const gap = language === "zh" ? "" : " ";
  if (seconds < 0.9995) return `${Math.max(1, Math.round(seconds * 1000))}${gap || " "}${t("ms")}`;
  if (seconds < 10) return `${seconds.toFixed(1).replace(".0", "")}${gap || " "}${t("second")}`;
  if (seconds < 90) return `${Math.round(seconds)}${gap || " "}${t("second")}`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}${gap || " "}${t("minute")}`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)}${gap || " "}${t("hour")}`;
  return `${Math.round(seconds / 86400)}${gap || " "}${t("day")}`;
}

const clockTime = (ms) => new Date(ms).toLocaleTimeString(locale(), { hour12: false });

// A node's name is the address by which it was found first.
function nameOf(node) { return node.addresses[0] || node.id; }

function nameById(view, id) {
  const node = view.byId.get(id);
  return node ? nameOf(node) : id.replace(/@.*/, "");
}

// How much lag is nothing to speak of: what is on its way, and what is written in a moment.
function isInStep(link, master) {
  const moment = 64 * 1024 + (master?.bytes_per_second || 0) / 2;
  return link.behind_bytes != null && link.behind_bytes <= moment;
}

// There is room for a few names on a card.
function watchesOf({ watched_names: names }) {
  const all = names.join(", ");
  return names.length && all.length <= 18 ? t("watches", { n: all }) : t("watchesMany", { n: names.length });
}

// The state of a node in one word for colours (step, late, far, sync, idle) and in words for people.
function stateOf(view, node) {
  if (node.silent) return { tone: "far", text: t("silent"), more: heard(node.silent).text };
  if (node.loading) {
    const text = node.loading.percent == null ? t("loading") : t("loadingPart", { percent: percentOf(node.loading.percent) });
    return { tone: "sync", text, percent: node.loading.percent };
  }
  if (node.role === "sentinel") return { tone: "idle", text: watchesOf(node) };
  if (node.trouble.is_stale_master) return { tone: "far", text: t("stale") };
  if (node.role !== "replica") return { tone: "step", text: node.bytes_per_second ? t("writes", { rate: rate(node.bytes_per_second) }) : t("noWrites") };
  const link = view.above.get(node.id);
  if (!link || link.state === "down") {
    const seconds = node.upstream?.down_seconds;
    return { tone: "far", text: seconds ? t("linkDownFor", { time: duration(seconds) }) : t("linkDown") };
  }
  if (link.state === "waiting") return { tone: "sync", text: t("waiting") };
  if (link.state === "syncing") return syncState(link.sync);
  if (node.trouble.diverged != null) return { tone: "late", text: t("diverged") };
  if (link.behind_bytes == null || isInStep(link, view.byId.get(link.master))) return { tone: "step", text: t("inStep") };
  const time = link.behind_seconds ? duration(link.behind_seconds) : "";
  return { tone: "late", text: time ? t("behindTime", { bytes: bytes(link.behind_bytes), time }) : t("behind", { bytes: bytes(link.behind_bytes) }) };
}

function syncState(sync) {
  if (sync?.percent == null) return { tone: "sync", text: t("syncing"), more: sync ? bytes(sync.bytes) : "" };
  const left = sync.seconds_left == null ? "" : t("left", { time: duration(sync.seconds_left) });
  return { tone: "sync", text: t("syncingPart", { percent: percentOf(sync.percent) }), percent: sync.percent, more: left };
}

// The picture as the page uses it: nodes by id and by address, links by their lower end.
function viewOf(topology) {
  const view = { ...topology, byId: new Map(), byAddress: new Map(), above: new Map(), below: new Map() };
  for (const node of topology.nodes) {
    view.byId.set(node.id, node);
    for (const address of node.addresses) view.byAddress.set(address, node);
    if (node.is_own) view.own = node;
  }
  for (const link of topology.links) {
    view.above.set(link.replica, link);
    if (!view.below.has(link.master)) view.below.set(link.master, []);
    view.below.get(link.master).push(link);
  }
  return view;
}
