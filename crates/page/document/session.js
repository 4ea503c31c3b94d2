// Who is logged in, and what can be done then.
const session = { user: null, token: null };

async function request(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (session.token) headers["X-Rivulet-Token"] = session.token;
  const response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  let answer;
  try { answer = JSON.parse(text); } catch { answer = { error: text.trim() }; }
  return { ok: response.ok, status: response.status, answer };
}

async function lookWhoIsThere() {
  const { ok, answer } = await request("/session").catch(() => ({ ok: false }));
  if (ok) Object.assign(session, { user: answer.user, token: answer.token });
}

// Answers whether somebody is logged in, after having asked for it if nobody was.
function ensureLogin() {
  if (session.token) return Promise.resolve(true);
  const dialog = byId("login-dialog");
  say(byId("login-error"), "");
  dialog.showModal();
  byId("login-user").focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(Boolean(session.token)), { once: true }));
}

async function submitLogin(event) {
  event.preventDefault();
  const [user, password] = [byId("login-user").value, byId("login-password").value];
  const { ok, answer } = await request("/login", { user, password }).catch((error) => ({ ok: false, answer: { error: String(error) } }));
  byId("login-password").value = "";
  if (!ok) {
    const { text, lang } = heard(answer.error);
    byId("login-error").lang = lang || document.documentElement.lang;
    return say(byId("login-error"), text);
  }
  Object.assign(session, { user: answer.user, token: answer.token });
  byId("login-dialog").close();
}

async function logOut() {
  await request("/logout", {}).catch(() => null);
  Object.assign(session, { user: null, token: null });
}

// Does something as the one who is logged in; answers its reply, or the error in words.
async function act(body) {
  const { ok, status, answer } = await request("/action", body).catch((error) => ({ ok: false, answer: { error: String(error) } }));
  if (status === 401) Object.assign(session, { user: null, token: null });
  return ok ? { reply: answer.reply } : { error: answer.error };
}

async function verify() {
  if (!(await ensureLogin())) return;
  const button = byId("verify");
  button.setAttribute("aria-disabled", "true");
  say(button, t("verifying"));
  byId("proof").replaceChildren();
  const { reply, error } = await act({ action: "verify" });
  button.setAttribute("aria-disabled", "false");
  say(button, t("verify"));
  byId("proof").replaceChildren(...(error ? [html("li", { class: "far", lang: "en" }, error)] : proofOf(reply)));
}

function proofOf(reply) {
  const replicas = reply?.replicas || [];
  if (!replicas.length) return [html("li", {}, t("proofNobody"))];
  const words = { yes: "equal", no: "notEqual", unverifiable: "notComparable", timeout: "noReport" };
  return replicas.map((one) => {
    const text = t(words[one.equal] || "notComparable", { n: one.differing_keys });
    const note = one.equal === "yes" ? { text: t("proofAt", { offset: count(one.offset) }), lang: null } : heard(one.reason);
    return html("li", { class: one.equal === "yes" ? "step" : one.equal === "no" ? "far" : "" }, html("strong", {}, `${one.addr} · ${text}`), html("span", { lang: note.lang }, note.text));
  });
}

async function failOver(view, node) {
  const name = nameOf(node);
  // The server knows its replica by the address that it was told.
  const seen = view.own.followers.map((follower) => follower.address);
  const to = node.addresses.find((address) => seen.includes(address)) || name;
  await switchOver({ action: "failover", to }, t("sureFailover", { name }), t("sureFailoverText", { name }));
}

// A Sentinel chooses the replica itself.
async function replaceMaster(master, node) {
  const name = nameOf(node);
  await switchOver({ action: "failover", master }, t("sureReplace", { name }), t("sureReplaceText", { name }));
}

async function switchOver(body, title, text) {
  if (!(await ensureLogin())) return;
  if (!(await isSure(title, text))) return;
  const { error } = await act(body);
  say(byId("live"), error || t("asked"));
  if (error) byId("node-actions").append(html("p", { class: "error", lang: "en" }, error));
}

function isSure(title, text) {
  const dialog = byId("sure-dialog");
  say(byId("sure-title"), title);
  say(byId("sure-text"), text);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
