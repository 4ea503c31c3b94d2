// What stands around the picture: the sentence, the tiles, the table, the timeline, the backlog, the doctor.
const history = { written: [], lag: [] };

function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child != null));
  return element;
}

const byId = (id) => document.getElementById(id);

function replaceIfNew(element, key, make) {
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(...make());
}

function drawSummary(view, isLost) {
  const { tone, title, detail } = isLost ? { tone: "far", title: t("healthLost"), detail: t("healthLostDetail") } : healthOf(view);
  byId("light").className = `light ${tone}`;
  say(byId("health"), title);
  say(byId("detail"), detail);
  document.title = `${title} · Rivulet`;
  say(byId("where"), view?.own ? `${nameOf(view.own)} · ${view.own.software.name} ${view.own.software.version}` : "");
}

function healthOf(view) {
  if (!view || !view.nodes.some((node) => !node.silent)) return { tone: "far", title: t("healthNone"), detail: "" };
  const data = view.nodes.filter((node) => node.role !== "sentinel");
  const masters = data.filter((node) => node.role === "master");
  const replicas = data.filter((node) => node.role === "replica");
  const roles = [several("masters", masters.length), several("replicas", replicas.length)].join(" · ");
  const failover = masters.find((node) => node.trouble.failover);
  if (failover) return { tone: "sync", title: t("healthFailover"), detail: heard(failover.trouble.failover).text };
  const states = data.map((node) => ({ node, state: stateOf(view, node) }));
  const troubled = ["far", "sync", "late"].flatMap((tone) => states.filter(({ state }) => state.tone === tone));
  if (troubled.length) return troubledHealth(view, troubled, roles);
  if (!masters.length) return { tone: "far", title: t("healthNoMaster"), detail: roles };
  if (!replicas.length) return { tone: "step", title: t("healthAlone"), detail: "" };
  return { tone: "step", title: t(replicas.length === 1 ? "healthStepOne" : "healthStep", { n: replicas.length }), detail: roles };
}

function troubledHealth(view, [{ node, state }, ...others], roles) {
  const name = nameOf(node);
  const more = others.length ? t("andMore", { n: others.length }) : "";
  const link = view.above.get(node.id);
  let title = `${name}: ${state.text}`;
  if (node.silent) title = t("healthSilent", { name });
  else if (state.tone === "far" && node.role === "replica") title = t("healthDown", { name });
  else if (state.tone === "sync" && !node.loading) title = t("healthSync", { name });
  else if (state.tone === "late" && link) title = t("healthLate", { name, bytes: bytes(link.behind_bytes) });
  const progress = state.percent == null ? "" : [percentOf(state.percent), state.more].filter(Boolean).join(t("comma"));
  return { tone: state.tone, title, detail: [progress, roles, more].filter(Boolean).join(t("stop")) };
}

function drawTiles(view) {
  const data = view.nodes.filter((node) => !node.silent);
  const masters = data.filter((node) => node.role === "master");
  const replicas = view.nodes.filter((node) => node.role === "replica");
  const inStep = replicas.filter((node) => stateOf(view, node).tone === "step").length;
  const written = masters.reduce((sum, node) => sum + (node.bytes_per_second || 0), 0);
  const furthest = view.links.filter((link) => link.behind_bytes != null).sort((a, b) => b.behind_bytes - a.behind_bytes)[0];
  const isLate = furthest && !isInStep(furthest, view.byId.get(furthest.master));
  const since = view.time_ms - 3600e3;
  const syncs = view.events.filter((event) => event.sync && event.time_ms > since);
  remember(history.written, written);
  remember(history.lag, furthest?.behind_bytes || 0);
  const times = (kind) => syncs.filter((event) => event.sync.kind === kind).length;
  const tiles = [
    ["tileWritten", rate(written), masters[0] ? t("noteOffset", { offset: count(masters[0].offset) }) : "", history.written],
    ["tileStep", `${inStep} / ${replicas.length}`, t("noteReplicas")],
    ["tileLag", furthest ? bytes(furthest.behind_bytes) : "–", noteOfLag(view, furthest), history.lag, isLate ? "late" : ""],
    ["tileSyncs", t("tileSyncsValue", { full: times("full"), partial: times("partial") }), syncs.length ? t("noteSyncs", { time: duration(Math.max(1, (view.time_ms - syncs[0].time_ms) / 1000)) }) : ""],
  ];
  const list = byId("tiles");
  tiles.forEach(([word, value, note, points, tone], i) => {
    const tile = list.children[i] || list.appendChild(newTile());
    tile.className = `tile ${tone || ""}`;
    say(tile.querySelector(".name"), t(word));
    say(tile.querySelector(".value"), value);
    say(tile.querySelector(".note"), note);
    if (points) spark(tile, points);
  });
}

function noteOfLag(view, link) {
  if (!link?.behind_bytes) return t("noteLagNone");
  const name = nameById(view, link.replica);
  return link.behind_seconds ? `${name} · ${duration(link.behind_seconds)}` : name;
}

function newTile() {
  return html("li", { class: "tile" }, html("div", { class: "name" }), html("div", { class: "value" }), html("div", { class: "note" }));
}

function remember(points, value) {
  points.push(value);
  if (points.length > 160) points.shift();
}

function spark(tile, points) {
  const top = Math.max(...points, 1);
  const place = points.map((value, i) => `${(160 - points.length + i).toFixed(0)} ${(38 - (value / top) * 32).toFixed(1)}`);
  const line = `M${place.join("L")}`;
  let figure = tile.querySelector("svg");
  if (!figure) {
    figure = svg("svg", { viewBox: "0 0 160 40", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, [svg("path", { class: "spark-area" }), svg("path", { class: "spark-line" })]);
    tile.append(figure);
  }
  set(figure.children[0], { d: `${line}L159 40L${160 - points.length} 40Z` });
  set(figure.children[1], { d: line });
}

function drawTable(view) {
  const heads = ["thNode", "thRole", "thMaster", "thState", "thLag", "thRate", "thKeys", "thMemory", "thVersion"];
  replaceIfNew(byId("table-head"), language, () => [html("tr", {}, ...heads.map((word) => html("th", { scope: "col" }, t(word))))]);
  const rows = view.nodes.map((node) => {
    const link = view.above.get(node.id);
    const state = stateOf(view, node);
    return [nameOf(node), t(node.role), link ? nameById(view, link.master) : "–", [state.text, state.more].filter(Boolean).join(t("comma")), link ? bytes(link.behind_bytes) : "–",
      rate(link ? link.bytes_per_second : node.bytes_per_second), count(node.load.keys), bytes(node.load.memory_bytes), `${node.software.name} ${node.software.version}`];
  });
  replaceIfNew(byId("table-body"), JSON.stringify(rows), () =>
    rows.map(([name, ...cells]) => html("tr", {}, html("th", { scope: "row" }, name), ...cells.map((cell) => html("td", {}, cell)))));
}

const WHY = { requested: "whyRequested", stranger: "whyStranger", "past-fork": "whyPastFork", "no-log": "whyNoLog", behind: "whyBehind", ahead: "whyAhead", "old-sync": "whyOldSync", unproven: "whyUnproven", "not-continued": "whyNotContinued", continued: "whyContinued" };
const EVENT_WORDS = { found: "evFound", silent: "evSilent", answers: "evAnswers", restarted: "evRestarted", promoted: "evPromoted", demoted: "evDemoted", moved: "evMoved", link_down: "evDown", link_up: "evUp", sync_began: "evBegan" };
const EVENT_TONES = { silent: "down", link_down: "down", answers: "up", link_up: "up", promoted: "role", demoted: "role", moved: "role", sync_began: "full" };

// An event as a sentence, the reason behind it, and a word for its sign.
function told(view, event) {
  const sync = event.sync;
  const peer = event.peer ? nameById(view, event.peer) : "";
  if (!sync) return { text: t(EVENT_WORDS[event.kind] || event.kind, { node: nameById(view, event.node), peer }), why: [], tone: EVENT_TONES[event.kind] || "" };
  const isMasters = sync.role === "master";
  const [master, replica] = isMasters ? [nameById(view, event.node), peer] : [peer, nameById(view, event.node)];
  const isFull = sync.kind === "full";
  let word = isFull ? (sync.outcome === "running" ? "evFullRuns" : "evFull") : "evPartial";
  if (sync.outcome === "failed") word = "evFailed";
  else if (!replica) word = isFull ? "evFullSome" : "evPartialSome";
  const missing = isFull && sync.bytes_missing > 0 ? t("evMissing", { bytes: bytes(sync.bytes_missing) }) : "";
  const amount = sync.duration_ms > 0 || sync.bytes > 0 ? t("evBytes", { bytes: bytes(sync.bytes), time: duration(sync.duration_ms / 1000) }) : "";
  const parts = [isFull ? t(WHY[sync.reason] || "whyContinued") : "", amount, missing].filter(Boolean);
  const failure = heard(sync.failure);
  const why = [parts.join(" "), failure.text ? html("span", { lang: failure.lang }, failure.text) : ""].filter(Boolean);
  return { text: t(word, { master, replica }), why, tone: sync.outcome === "failed" ? "down" : isFull ? "full" : "partial" };
}

const keyOf = (event) => `${event.time_ms} ${event.kind} ${event.node} ${event.peer} ${event.sync ? `${event.sync.number} ${event.sync.outcome}` : ""}`;

let eventsShown = 8;

// Answers the events that were not there before.
function drawTimeline(view, known) {
  const fresh = view.events.filter((event) => !known.has(keyOf(event)));
  const shown = view.events.slice(0, eventsShown);
  const key = `${language} ${eventsShown} ${shown.map((event) => keyOf(event) + (event.sync?.outcome === "running" ? event.sync.bytes : "")).join(";")}`;
  const news = new Set(fresh.map(keyOf));
  replaceIfNew(byId("events"), key, () => shown.map((event) => {
    const { text, why, tone } = told(view, event);
    const isFresh = known.size > 0 && news.has(keyOf(event)) ? " fresh" : "";
    const time = html("time", { datetime: new Date(event.time_ms).toISOString() }, clockTime(event.time_ms));
    return html("li", { class: tone + isFresh }, time, html("span", { class: "sign", "aria-hidden": "true" }), html("span", {}, text, why.length ? html("span", { class: "why" }, ...why.flatMap((part, i) => (i ? [" ", part] : [part]))) : null));
  }));
  const hidden = view.events.length - shown.length;
  byId("more").hidden = hidden <= 0;
  say(byId("more"), t("more", { n: hidden }));
  drawLanes(view);
  return fresh;
}

function drawLanes(view) {
  const replicas = view.nodes.filter((node) => node.role === "replica" || view.events.some((event) => replicaOf(event) === node.id)).slice(0, 10);
  const box = byId("lanes");
  const width = Math.max(260, box.clientWidth);
  const oldest = Math.min(...view.events.map((event) => event.time_ms), view.time_ms);
  const span = [60, 300, 900, 3600, 6 * 3600].find((s) => view.time_ms - oldest < s * 1000) || 24 * 3600;
  const left = width < 520 ? 0 : 124;
  const step = left ? 26 : 38;
  const x = (ms) => left + (width - left - 10) * (1 - (view.time_ms - ms) / (span * 1000));
  const height = replicas.length * step + 22;
  const figure = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("lanesTitle", { time: duration(span) }) });
  replicas.forEach((node, i) => {
    const y = i * step + (left ? 14 : 26);
    figure.append(svg("text", { x: 0, y: left ? y + 4 : y - 10 }, [nameOf(node)]), svg("path", { class: "lane-line", d: `M${left} ${y}H${width}` }));
    for (const event of view.events) if (replicaOf(event) === node.id && x(event.time_ms) >= left) figure.append(...mark(event, x, y));
  });
  const axis = [[left, `−${duration(span)}`, "start"], [(left + width) / 2, `−${duration(span / 2)}`, "middle"], [width, t("now"), "end"]];
  for (const [at, text, anchor] of axis) figure.append(svg("text", { x: at, y: height - 4, "text-anchor": anchor }, [text]));
  replaceIfNew(box, replicas.length ? figure.outerHTML : "", () => (replicas.length ? [figure] : []));
}

function replicaOf(event) {
  return event.sync && event.sync.role === "master" ? event.peer : event.node;
}

function mark(event, x, y) {
  const at = x(event.time_ms);
  if (event.sync) {
    if (event.sync.outcome === "failed") return [svg("circle", { class: "mark-failed", cx: at, cy: y, r: 4 })];
    if (event.sync.kind === "partial") return [svg("circle", { class: "mark-partial", cx: at, cy: y, r: 4.5 })];
    return [svg("rect", { class: "mark-full", x: at, y: y - 6, width: Math.max(7, x(event.time_ms + event.sync.duration_ms) - at), height: 12, rx: 3 })];
  }
  if (event.kind === "link_down" || event.kind === "silent") return [svg("rect", { class: "mark-down", x: at - 1.5, y: y - 9, width: 3, height: 18, rx: 1 })];
  if (event.kind === "promoted" || event.kind === "demoted" || event.kind === "moved") return [svg("rect", { class: "mark-role", x: at - 5, y: y - 5, width: 10, height: 10, transform: `rotate(45 ${at} ${y})` })];
  return [];
}

function drawDoctor(view) {
  const items = [];
  for (const node of view.nodes) {
    if (node.trouble.diverged != null) items.push([node, { text: t("divergedAt", { why: heard(node.trouble.diverged).text }), lang: null }]);
    if (node.upstream?.failure) items.push([node, heard(node.upstream.failure)]);
    for (const finding of node.doctor?.findings || []) items.push([node, heard(finding)]);
  }
  const hasDoctor = view.nodes.some((node) => node.doctor);
  // What several nodes say is one finding.
  const findings = new Map();
  for (const [node, { text, lang }] of items) {
    if (!findings.has(text)) findings.set(text, { lang, names: [] });
    findings.get(text).names.push(nameOf(node));
  }
  const key = language + hasDoctor + JSON.stringify([...findings]);
  replaceIfNew(byId("findings"), key, () => {
    if (!items.length) return [html("li", { class: hasDoctor ? "step" : "" }, t(hasDoctor ? "doctorWell" : "doctorNone"))];
    return [...findings].map(([text, { lang, names }]) => html("li", {}, html("strong", {}, names.join(t("comma"))), html("span", { lang }, text)));
  });
  drawMeasured(view.own?.doctor?.measured);
}

// What the findings rest on.
function drawMeasured(measured) {
  const { text, lang } = heard(measured ? `Measured: ${measured}` : "");
  say(byId("measured"), text);
  byId("measured").lang = lang || document.documentElement.lang;
}

function drawBacklogs(view) {
  const masters = view.nodes.filter((node) => node.backlog && !node.silent && view.below.has(node.id));
  const box = byId("backlogs");
  const key = language + box.clientWidth + JSON.stringify(masters.map((node) => [node.id, node.backlog, view.below.get(node.id).map((link) => [link.replica, link.behind_bytes, link.state])]));
  replaceIfNew(box, key, () => (masters.length ? masters.map((node) => backlogOf(view, node, Math.max(240, box.clientWidth))) : [html("p", { class: "faint" }, t("backlogNone"))]));
}

function backlogOf(view, node, width) {
  const { size, from, to, disk_bytes: disk } = node.backlog;
  const all = Math.max(size, to - from, 1);
  const place = (behind) => (width - 8) * (1 - behind / all) + 4;
  const figure = svg("svg", { viewBox: `0 0 ${width} 46`, "aria-hidden": "true", focusable: "false" });
  figure.append(svg("rect", { class: "window-empty", x: 4, y: 10, width: width - 8, height: 16, rx: 5 }));
  const held = Math.min(all, to - from);
  if (held > 0) figure.append(svg("rect", { class: "window", x: place(held), y: 10, width: Math.max(3, width - 4 - place(held)), height: 16, rx: 5 }));
  const lines = view.below.get(node.id).filter((link) => view.byId.has(link.replica)).map((link) => {
    const isOut = link.slack_bytes === 0;
    if (link.behind_bytes != null) {
      const x = place(Math.min(all, link.behind_bytes));
      figure.append(svg("path", { class: `cursor-line${isOut ? " cursor-out" : ""}`, d: `M${x} 7V29` }), svg("path", { class: isOut ? "cursor-out" : "cursor-head", d: `M${x - 5} 1h10l-5 7z` }));
    }
    const slack = link.slack_bytes == null ? "–" : isOut ? t("slackNone") : t("slack", { bytes: bytes(link.slack_bytes) });
    return html("li", {}, html("span", {}, nameById(view, link.replica)), html("span", {}, slack));
  });
  figure.append(svg("text", { class: "axis", x: 4, y: 42 }, [t("oldest")]), svg("text", { class: "axis", x: width - 4, y: 42, "text-anchor": "end" }, [t("newest")]));
  const kept = t("backlogSize", { bytes: bytes(size) }) + (disk ? t("comma") + t("backlogDisk", { bytes: bytes(disk) }) : "");
  return html("div", { class: "backlog" }, html("h3", {}, nameOf(node), html("span", {}, kept)), figure, html("ul", {}, ...lines));
}

function drawNodeCard(view, id) {
  const node = view.byId.get(id);
  const card = byId("node-card");
  card.hidden = !node;
  if (!node) return;
  say(byId("node-title"), nameOf(node));
  const link = view.above.get(id);
  const state = stateOf(view, node);
  const age = node.age_ms == null ? "–" : node.age_ms < 2000 ? t("now") : t("ago", { time: duration(node.age_ms / 1000) });
  const facts = [["factRole", t(node.role)], ["factState", [state.text, state.more].filter(Boolean).join(t("comma"))], ["factFollows", link ? nameById(view, link.master) : ""], ["factSlack", link?.slack_bytes != null ? bytes(link.slack_bytes) : ""],
    ["factProgram", `${node.software.name} ${node.software.version}`], ["factOffset", count(node.offset)], ["factKeys", count(node.load.keys)],
    ["factMemory", node.load.memory_max_bytes ? `${bytes(node.load.memory_bytes)} / ${bytes(node.load.memory_max_bytes)}` : bytes(node.load.memory_bytes)], ["factClients", count(node.load.clients)],
    ["factOps", t("ops", { n: count(node.load.commands_per_second) })], ["factHeld", node.load.held_bytes ? bytes(node.load.held_bytes) : ""], ["factUptime", node.load.uptime_seconds ? duration(node.load.uptime_seconds) : ""],
    ["factAge", age], ["factAddress", node.addresses.join(", ")], ["factHistory", node.replid.slice(0, 12)], ["factId", node.id.slice(0, 12)]].filter(([, value]) => value);
  replaceIfNew(byId("node-facts"), language + JSON.stringify(facts), () => facts.flatMap(([word, value]) => [html("dt", {}, t(word)), html("dd", {}, value)]));
}
