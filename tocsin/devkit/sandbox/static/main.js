import { Detail } from "./detail.js";
import { byId, h, icon } from "./dom.js";
import { bindKeys } from "./keys.js";
import { List } from "./list.js";
import { PeopleSearch, avatar } from "./people.js";
import { Store } from "./store.js";
import { CHANNELS, PROVIDERS, brief, number, plural } from "./words.js";

const store = new Store();
const search = byId("search");
const summary = byId("summary");
const TABS = ["", "push", "webpush", "sms", "email", "inapp", "whatsapp", "voice"];

const detail = new Detail(byId("detail"), { onOpen: (seq) => list.select(seq), onBack: back });
const list = new List(byId("messages"), store, (seq, open) => {
  detail.show(seq);
  if (open) read();
});
new PeopleSearch(search, byId("people"), (found) => only(found.user, found.name));

function read() {
  document.body.classList.add("reading");
  if (getComputedStyle(byId("messages").parentElement).display === "none") byId("detail").focus({ preventScroll: true });
}

function back() {
  document.body.classList.remove("reading");
  byId("messages").focus({ preventScroll: true });
}

function only(user, name) {
  store.person = { user, name };
  store.set({ user }).then(() => list.move(0));
  back();
}

function escape() {
  if (document.body.classList.contains("reading") && getComputedStyle(byId("messages").parentElement).display === "none") back();
  else if (store.filtered) clear();
}

function clear() {
  store.set({ user: "", channel: "", status: "any", provider: "" });
}

function drawPerson() {
  const box = byId("person");
  box.hidden = !store.filters.user;
  if (box.hidden) return;
  const id = store.filters.user.replace(/^default\//, "");
  const name = store.person?.name || id;
  box.replaceChildren(avatar(name), h("div", {}, h("b", {}, name), h("small", {}, name === id ? "Only this person" : id)),
    h("button", { type: "button", cls: "icon", "aria-label": "Show everybody", onclick: () => store.set({ user: "" }) }, icon("close")));
}

function countOf(channel) {
  return store.counts.filter((count) => !channel || count.channel === channel).reduce((sum, count) => sum + count.calls, 0);
}

function drawChannels() {
  const chosen = store.filters.channel;
  const box = byId("channels");
  const held = box.contains(document.activeElement) ? document.activeElement.dataset.channel : null;
  box.replaceChildren(...TABS.map((channel) => h("button", {
    type: "button", role: "radio", "data-channel": channel, "aria-checked": channel === chosen, tabindex: channel === chosen ? 0 : -1,
    onclick: () => store.set({ channel }),
  }, icon(channel || "all"), channel ? CHANNELS[channel] : "All", h("small", {}, brief(countOf(channel))))));
  box.querySelector('[aria-checked="true"]').scrollIntoView({ block: "nearest", inline: "nearest" });
  if (held !== null) box.querySelector(`[data-channel="${held}"]`).focus();
}

function drawProviders() {
  const select = byId("provider");
  const seen = [...new Set(store.counts.map((count) => count.provider))].sort();
  if (select.options.length === seen.length + 1) return;
  const { value } = select;
  select.replaceChildren(h("option", { value: "" }, "Any"), ...seen.map((name) => h("option", { value: name }, PROVIDERS[name] ?? name)));
  select.value = value;
}

function drawEmpty() {
  const nothing = !store.items.length;
  const box = byId("empty");
  box.hidden = !nothing;
  document.body.classList.toggle("bare", nothing && !store.filtered);
  if (!nothing) return;
  box.replaceChildren(...(store.filtered
    ? [h("h2", {}, "No message matches"), h("p", {}, "Nothing that is kept fits these filters."), h("button", { type: "button", cls: "button", onclick: clear }, "Clear the filters")]
    : [h("h2", {}, "Waiting for the first message"), h("p", {}, "It will appear here the moment it is sent.")]));
}

function drawSummary() {
  const total = countOf("");
  const loaded = store.filtered ? `${plural(store.items.length, "message", "messages")}${store.complete ? "" : " and more"}` : plural(store.kept, "message", "messages");
  summary.textContent = total > store.kept && !store.filtered ? `Newest ${number(store.kept)} of ${plural(total, "message", "messages")}` : loaded;
}

function drawHeld() {
  const pill = byId("more-new");
  pill.hidden = !store.held;
  // Of those that came too fast to be sent along nobody knows whether they fit the filters.
  pill.textContent = store.filtered ? "New messages" : plural(store.held, "new message", "new messages");
}

/** Messages a second over the last seconds of the feed. */
const beats = [];
function drawRate(seq) {
  const now = performance.now();
  beats.push([now, seq]);
  while (beats.length > 2 && now - beats[0][0] > 5000) beats.shift();
  const [[since, before]] = beats;
  const rate = now - since > 200 ? (seq - before) / (now - since) * 1000 : 0;
  byId("live").lastElementChild.textContent = rate >= 0.5 ? `Live · ${brief(Math.round(rate))}/s` : "Live";
}

let quiet = 0;
store.addEventListener("counts", (event) => {
  drawChannels();
  drawProviders();
  drawSummary();
  drawRate(event.detail.seq);
  clearTimeout(quiet);
  quiet = setTimeout(() => { beats.length = 0; byId("live").lastElementChild.textContent = "Live"; }, 3000);
});
store.addEventListener("filters", () => {
  drawChannels();
  drawPerson();
  byId("status").value = store.filters.status;
  byId("provider").value = store.filters.provider;
});
store.addEventListener("reloaded", () => {
  drawEmpty();
  drawSummary();
  drawHeld();
  if (!store.items.length) {
    if (!store.filtered) detail.start();
    else if (detail.idle) detail.none("Choose a message to see it as its recipient does.");
  } else if (detail.idle) detail.none("Choose a message to see it as its recipient does.");
});
store.addEventListener("grown", drawSummary);
store.addEventListener("added", () => { drawEmpty(); drawSummary(); if (detail.idle) detail.none("Choose a message to see it as its recipient does."); });
store.addEventListener("held", drawHeld);
store.addEventListener("cleared", () => { list.selected = 0; });
store.addEventListener("live", (event) => {
  const box = byId("live");
  box.className = `live ${event.detail.on ? "on" : "off"}`;
  box.lastElementChild.textContent = event.detail.on ? "Live" : "Reconnecting";
});

byId("more-new").addEventListener("click", () => store.reload());
byId("messages").addEventListener("scroll", () => { if (store.held && store.atTop()) store.reload(); }, { passive: true });
byId("status").addEventListener("change", (event) => store.set({ status: event.target.value }));
byId("provider").addEventListener("change", (event) => store.set({ provider: event.target.value }));
byId("channels").addEventListener("keydown", (event) => {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const next = TABS[(TABS.indexOf(store.filters.channel) + by + TABS.length) % TABS.length];
  store.set({ channel: next });
  byId("channels").querySelector('[aria-checked="true"]').focus();
});

function toggleTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", dark ? "light" : "dark");
}
byId("theme").addEventListener("click", toggleTheme);
byId("help-open").addEventListener("click", () => byId("help").showModal());

function onlyThis() {
  const message = store.items[list.index()];
  if (message) only(message.user, message.name);
}

bindKeys({
  "/": () => search.focus(),
  j: () => list.move(1), ArrowDown: () => list.move(1),
  k: () => list.move(-1), ArrowUp: () => list.move(-1),
  g: () => list.move(-Infinity), Home: () => list.move(-Infinity),
  G: () => list.move(Infinity), End: () => list.move(Infinity),
  Enter: () => { if (list.index() >= 0) { read(); byId("detail").focus({ preventScroll: true }); } },
  u: onlyThis, v: () => detail.nextView(), t: toggleTheme, Escape: escape,
  "?": () => byId("help").showModal(),
  ...Object.fromEntries(TABS.map((channel, at) => [String(at + 1), () => store.set({ channel })])),
});

drawChannels();
detail.none("Connecting to the sandbox.");
store.followInSight();
