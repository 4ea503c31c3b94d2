// The page itself: it listens to the server, and draws what it hears.
const state = { view: null, isLost: false, chosen: null, known: new Set(), theme: "auto" };
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function stored(name) { try { return localStorage.getItem(`rivulet-${name}`); } catch { return null; } }
function store(name, value) { try { localStorage.setItem(`rivulet-${name}`, value); } catch { /* It holds until the page is closed. */ } }

const isDark = () => (state.theme === "auto" ? darkSystem.matches : state.theme === "dark");

function showTheme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  say(byId("theme"), t(isDark() ? "light" : "dark"));
}

function showWords() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-word]")) say(element, t(element.dataset.word));
  const other = byId("language");
  say(other, t("other"));
  other.lang = language === "zh" ? "en" : "zh-CN";
  say(byId("node-close"), t("close"));
  say(byId("verify"), t("verify"));
  say(byId("table-switch"), t(byId("table-box").hidden ? "showTable" : "hideTable"));
  const legend = [["step", "legendStep"], ["late", "legendLate"], ["sync", "legendSync"], ["far", "legendFar"]];
  byId("legend").replaceChildren(...legend.map(([tone, word]) => html("span", { class: tone }, html("i"), t(word))));
  showTheme();
  showSession();
}

function showSession() {
  say(byId("login"), session.token ? t("logout", { user: session.user }) : t("login"));
}

function draw() {
  const { view } = state;
  drawSummary(view, state.isLost);
  byId("picture").classList.toggle("stale", state.isLost);
  if (!view) return;
  drawPicture(view, state.chosen, choose);
  byId("left-out").hidden = !view.left_out;
  say(byId("left-out"), view.left_out ? several("leftOut", view.left_out) : "");
  drawTiles(view);
  drawTable(view);
  const fresh = drawTimeline(view, state.known);
  announce(view, fresh);
  drawDoctor(view);
  drawBacklogs(view);
  drawNodeCard(view, state.chosen);
  drawActions(view);
}

// News are glows on the links, and words for those who listen; what was there before the page is no news.
function announce(view, fresh) {
  const isFirst = state.known.size === 0;
  state.known = new Set(view.events.map(keyOf));
  if (isFirst || !fresh.length) return;
  for (const event of fresh) {
    if (event.sync?.kind !== "partial") continue;
    const [master, replica] = event.sync.role === "master" ? [event.node, event.peer] : [event.peer, event.node];
    pulse(master, replica);
  }
  say(byId("live"), fresh.slice(0, 3).reverse().map((event) => told(view, event).text).join(". "));
}

function drawActions(view) {
  const isMaster = view.own?.role === "master";
  say(byId("proof-help"), t(isMaster ? "proofHelp" : "proofElsewhere"));
  byId("verify").hidden = !isMaster;
  const node = view.byId.get(state.chosen);
  const link = node && view.above.get(node.id);
  const canTake = isMaster && link?.master === view.own.id && link.state === "online" && !view.own.trouble.failover;
  const master = node && watchedName(view, node);
  replaceIfNew(byId("node-actions"), `${language} ${canTake} ${master} ${state.chosen}`, () => {
    if (!canTake && master == null) return [];
    const button = html("button", { type: "button", class: "quiet" }, t(canTake ? "failover" : "replace"));
    const chosen = () => state.view.byId.get(state.chosen);
    button.addEventListener("click", () => (canTake ? failOver(state.view, chosen()) : replaceMaster(master, chosen())).then(showSession));
    return [button];
  });
}

// Under which name this page's Sentinel watches a master that it can replace.
function watchedName({ own }, node) {
  if (own?.role !== "sentinel" || node.role !== "master" || node.silent || node.trouble.failover) return undefined;
  return own.watched_names[own.watches.findIndex((address) => node.addresses.includes(address))];
}

function choose(id) {
  state.chosen = state.chosen === id ? null : id;
  draw();
}

function listen() {
  const source = new EventSource("/events");
  source.addEventListener("message", (event) => {
    state.view = viewOf(JSON.parse(event.data));
    state.isLost = false;
    draw();
  });
  source.addEventListener("error", () => {
    state.isLost = true;
    draw();
    // A server that was replaced answers something else than events, after which a browser does not try again by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
  });
}

function begin() {
  const wanted = stored("language") || (navigator.languages || [navigator.language]).find((name) => /^(zh|en)/i.test(name)) || "en";
  language = /^zh/i.test(wanted) ? "zh" : "en";
  state.theme = stored("theme") || "auto";
  byId("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    store("language", language);
    showWords();
    draw();
  });
  byId("theme").addEventListener("click", () => {
    state.theme = isDark() ? "light" : "dark";
    store("theme", state.theme);
    showTheme();
  });
  darkSystem.addEventListener("change", showTheme);
  byId("login").addEventListener("click", () => (session.token ? logOut() : ensureLogin()).then(showSession));
  byId("login-form").addEventListener("submit", (event) => submitLogin(event));
  byId("login-dialog").addEventListener("close", showSession);
  byId("login-cancel").addEventListener("click", () => byId("login-dialog").close());
  byId("verify").addEventListener("click", () => { if (byId("verify").getAttribute("aria-disabled") !== "true") verify().then(showSession); });
  byId("node-close").addEventListener("click", () => choose(state.chosen));
  byId("more").addEventListener("click", () => { eventsShown = 80; draw(); });
  byId("table-switch").addEventListener("click", () => {
    const box = byId("table-box");
    box.hidden = !box.hidden;
    byId("table-switch").setAttribute("aria-expanded", String(!box.hidden));
    say(byId("table-switch"), t(box.hidden ? "showTable" : "hideTable"));
  });
  new ResizeObserver(() => draw()).observe(byId("picture"));
  showWords();
  draw();
  lookWhoIsThere().then(showSession);
  listen();
}

begin();
