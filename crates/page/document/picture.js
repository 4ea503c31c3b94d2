// The picture. Elements are kept and changed, so that focus and animations go on.
const SVG = "http://www.w3.org/2000/svg";
const drawn = { svg: null, nodes: new Map(), links: new Map(), width: 0 };

function svg(tag, attributes = {}, children = []) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function drawPicture(view, chosen, choose) {
  const box = document.getElementById("picture");
  if (!drawn.svg) {
    drawn.linkLayer = svg("g");
    drawn.nodeLayer = svg("g");
    drawn.svg = svg("svg", { role: "group" }, [drawn.linkLayer, drawn.nodeLayer]);
    box.append(drawn.svg);
  }
  const width = Math.max(240, box.clientWidth);
  const layout = layoutOf(view, width);
  set(drawn.svg, { viewBox: `-3 -3 ${layout.width + 6} ${layout.height + 6}`, "aria-label": t("picture") });
  // Nodes stand in the order of the tree, which is also the order of the keyboard.
  keep(drawn.nodes, view.nodes.map((node) => node.id));
  view.nodes.forEach((node, i) => {
    const parts = drawn.nodes.get(node.id) || newNode(node.id, choose);
    if (drawn.nodeLayer.children[i] !== parts.group) drawn.nodeLayer.insertBefore(parts.group, drawn.nodeLayer.children[i] || null);
    drawNode(view, node, parts, layout.places.get(node.id), node.id === chosen);
  });
  const links = view.links.filter((link) => view.byId.has(link.master) && view.byId.has(link.replica));
  keep(drawn.links, links.map((link) => `${link.master} ${link.replica}`));
  for (const link of links) drawLink(view, link, layout);
  // In a list links run beside each other: the short ones lie on top.
  if (!layout.isTree) for (const link of links) drawn.linkLayer.prepend(drawn.links.get(`${link.master} ${link.replica}`).group);
}

function keep(map, keys) {
  const wanted = new Set(keys);
  for (const [key, parts] of map) if (!wanted.has(key)) { parts.group.remove(); map.delete(key); }
}

function newNode(id, choose) {
  const parts = {};
  for (const [name, tag] of [["plate", "rect"], ["stripe", "path"], ["sign", "circle"], ["title", "text"], ["tag", "text"], ["state", "text"], ["fact", "text"], ["track", "rect"], ["fill", "rect"]]) parts[name] = svg(tag);
  set(parts.title, { class: "title" });
  for (const name of ["plate", "stripe", "tag", "state", "fact"]) set(parts[name], { class: name });
  set(parts.track, { class: "bar-track", rx: 3, height: 5 });
  set(parts.fill, { class: "bar-fill", rx: 3, height: 5 });
  // The button lies over the texts: its name is one sentence, which says more than they do by themselves.
  const texts = svg("g", { "aria-hidden": "true" }, Object.values(parts));
  parts.button = svg("rect", { class: "button", tabindex: 0, role: "button", rx: 14 });
  parts.group = svg("g", {}, [texts, parts.button]);
  parts.button.addEventListener("click", () => choose(id));
  parts.button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(id);
  });
  drawn.nodes.set(id, parts);
  return parts;
}

function drawNode(view, node, parts, at, isChosen) {
  const state = stateOf(view, node);
  const classes = ["node", state.tone, node.silent ? "silent" : "", isChosen ? "chosen" : ""].filter(Boolean).join(" ");
  set(parts.group, { class: classes, transform: `translate(${at.x} ${at.y})` });
  set(parts.button, { width: at.width, height: at.height, "aria-pressed": isChosen, "aria-label": spoken(view, node, state) });
  set(parts.plate, { width: at.width, height: at.height, rx: 14 });
  set(parts.stripe, { d: `M14 0 A14 14 0 0 0 0 14 V${at.height - 14} A14 14 0 0 0 14 ${at.height} H5 V0 Z`.replace("H5 V0", `A9 14 0 0 1 5 ${at.height - 14} V14 A9 14 0 0 1 14 0`) });
  const isMaster = node.role === "master";
  set(parts.sign, { cx: 25, cy: 24, r: isMaster ? 6 : 5, class: isMaster ? "crown" : "crown-hole" });
  set(parts.title, { x: 40, y: 29 });
  say(parts.title, nameOf(node));
  set(parts.tag, { x: at.width - 14, y: 29, "text-anchor": "end" });
  say(parts.tag, node.is_own && at.width > 230 ? t("thisNode") : "");
  set(parts.state, { x: 20, y: 52 });
  say(parts.state, isMaster || node.role === "sentinel" ? `${t(node.role)} · ${state.text}` : state.more && state.percent != null ? `${percentOf(state.percent)} · ${state.more}` : state.text);
  set(parts.fact, { x: 20, y: 71 });
  say(parts.fact, node.age_ms == null || node.role === "sentinel" || state.percent != null ? "" : `${t("keys", { n: about(node.load.keys) })} · ${bytes(node.load.memory_bytes)} · ${t("ops", { n: about(node.load.commands_per_second) })}`);
  // While it copies or loads, a bar stands where its figures, which say nothing then, would.
  const share = state.percent == null ? null : state.percent / 100;
  set(parts.track, { x: 20, y: 64, width: at.width - 36, visibility: share == null ? "hidden" : "visible" });
  set(parts.fill, { x: 20, y: 64, width: share == null ? 0 : Math.max(0, (at.width - 36) * share), visibility: share == null ? "hidden" : "visible" });
}


function spoken(view, node, state) {
  const link = view.above.get(node.id);
  const follows = link ? `, ${t("factFollows")} ${nameById(view, link.master)}` : "";
  return `${nameOf(node)}, ${t(node.role)}${follows}, ${state.text}${state.more ? `, ${state.more}` : ""}`;
}

function drawLink(view, link, layout) {
  const key = `${link.master} ${link.replica}`;
  const parts = drawn.links.get(key) || newLink(key);
  const course = courseOf(layout, layout.places.get(link.master), layout.places.get(link.replica));
  const tone = toneOfLink(view, link);
  const flows = link.state === "online" && (link.bytes_per_second || 0) > 0;
  const slim = layout.isTree ? 1 : 0.45;
  const width = widthOf(link.bytes_per_second) * slim;
  const pulses = parts.group.classList.contains("pulse") ? " pulse" : "";
  set(parts.group, { class: `link ${tone}${flows ? " runs" : ""}${link.bytes_per_second > 1e6 ? " fast" : ""}${pulses}` });
  const thick = tone === "sync" ? 12 * slim : width + 5 * slim;
  set(parts.bed, { d: course.path, "stroke-width": tone === "far" ? 3 : thick });
  set(parts.flow, { d: course.path, "stroke-width": width });
  const filled = link.sync?.percent ?? (link.state === "syncing" ? 100 : 0);
  set(parts.fill, { d: course.path, pathLength: 100, "stroke-width": tone === "sync" && filled > 0 ? 8 * slim : 0, "stroke-dasharray": link.sync?.percent == null ? "1.5 3.5" : `${filled} 200` });
  const words = layout.isTree ? wordsOf(link) : ["", ""];
  set(parts.strong, { x: course.x || 0, y: (course.y || 0) - 12, class: "strong" });
  set(parts.more, { x: course.x || 0, y: (course.y || 0) + 22 });
  say(parts.strong, words[0]);
  say(parts.more, words[1]);
}

function newLink(key) {
  const parts = { bed: svg("path", { class: "bed" }), flow: svg("path", { class: "flow" }), fill: svg("path", { class: "fill" }), strong: svg("text"), more: svg("text") };
  // What it says is in the nodes' labels and in the table.
  parts.group = svg("g", { "aria-hidden": "true" }, Object.values(parts));
  drawn.linkLayer.append(parts.group);
  drawn.links.set(key, parts);
  return parts;
}

function toneOfLink(view, link) {
  if (link.state === "down") return "far";
  if (link.state !== "online") return "sync";
  if (link.behind_bytes == null) return "idle";
  return isInStep(link, view.byId.get(link.master)) ? "step" : "late";
}

// From 2 at some bytes a second to 12 at a gigabyte.
function widthOf(perSecond) {
  return perSecond > 0 ? Math.min(12, 2 + Math.log10(1 + perSecond / 100) * 1.4) : 2;
}

function wordsOf(link) {
  if (link.state === "down") return [t("linkDown"), ""];
  if (link.state === "waiting") return [t("waiting"), ""];
  const speed = link.bytes_per_second ? rate(link.bytes_per_second) : "";
  if (link.state === "syncing") return [link.sync?.percent == null ? bytes(link.sync?.bytes || 0) : percentOf(link.sync.percent), speed];
  return [speed, ""];
}

// A partial sync is over before it could be drawn: it is a glow.
function pulse(master, replica) {
  const parts = drawn.links.get(`${master} ${replica}`);
  if (!parts) return;
  parts.group.classList.remove("pulse");
  void parts.group.getBoundingClientRect();
  parts.group.classList.add("pulse");
  setTimeout(() => parts.group.classList.remove("pulse"), 1500);
}
