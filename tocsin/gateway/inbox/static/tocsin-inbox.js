// <tocsin-inbox>: a bell with a count, and the list behind it, live. No dependency.
//
//   <script type="module" src="https://notify.example.com/inbox/tocsin-inbox.js"></script>
//   <tocsin-inbox token-url="/my/inbox-token"></tocsin-inbox>
//
// Texts are shown as texts, never as HTML. It needs no inline script or style, so a strict CSP allows it.

import { InboxClient } from "./static/inbox-client.js";
import { sheet } from "./static/inbox-style.js";
import { wordsFor } from "./static/inbox-words.js";

const PAGE = 20;
const ICONS = {
  bell: "M12 3a6 6 0 0 0-6 6v4l-1.6 2.7A.9.9 0 0 0 5.2 17h13.6a.9.9 0 0 0 .8-1.3L18 13V9a6 6 0 0 0-6-6Zm-2.3 16a2.4 2.4 0 0 0 4.6 0Z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  archive: "M4 7h16M5.5 7v11a1.5 1.5 0 0 0 1.5 1.5h10a1.5 1.5 0 0 0 1.5-1.5V7M5 4.5h14L20 7H4Zm5 7h4",
  close: "M6 6l12 12M18 6 6 18",
};

function h(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  if (name === "bell") svg.setAttribute("class", "filled");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// Only addresses of the web become links: `javascript:` and its kind do not.
function webAddress(text) {
  if (!text) return null;
  try {
    const url = new URL(text, document.baseURI);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

class TocsinInbox extends HTMLElement {
  static observedAttributes = ["lang", "theme"];

  #root = this.attachShadow({ mode: "open" });
  #client = null;
  #entries = [];
  #next = null;
  #counts = { unread: 0, unseen: 0 };
  #phase = "loading";
  #isOpen = false;
  #isLive = false;
  #tab = "open";
  #words = wordsFor("en");
  #labels = {};
  #token = "";
  #getToken = null;
  #nodes = {};
  #loading = 0;

  /** A user token; set it again with a new one when the event `tocsin-token` asks for it. */
  set token(value) {
    this.#token = value;
    if (this.isConnected) this.#begin();
  }

  /** An async function that fetches a token; it wins over `token` and `token-url`. */
  set getToken(value) {
    this.#getToken = value;
    if (this.isConnected) this.#begin();
  }

  /** Words of another language: an object that replaces some of the words. */
  set labels(value) {
    this.#labels = value ?? {};
    if (this.isConnected) this.attributeChangedCallback();
  }

  get counts() {
    return { ...this.#counts };
  }

  connectedCallback() {
    this.#root.adoptedStyleSheets = [sheet()];
    this.attributeChangedCallback();
    document.addEventListener("pointerdown", this.#onOutside);
    this.#begin();
  }

  disconnectedCallback() {
    document.removeEventListener("pointerdown", this.#onOutside);
    this.#client?.close();
    this.#client = null;
  }

  attributeChangedCallback() {
    const language = this.getAttribute("lang") || this.closest("[lang]")?.getAttribute("lang") || navigator.language;
    this.#words = { ...wordsFor(language), ...this.#labels };
    if (!this.isConnected) return;
    this.#frame();
    this.#draw();
  }

  open() {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#draw();
    this.#nodes.title.focus();
    this.#markSeen();
  }

  close() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#draw();
    this.#nodes.bell.focus();
  }

  #begin() {
    this.#client?.close();
    const given = this.getAttribute("src");
    this.#client = new InboxClient({
      base: new URL(given || new URL("..", import.meta.url), document.baseURI).href.replace(/\/$/, ""),
      token: () => this.#fetchToken(),
      onChange: (change) => this.#onChange(change),
      onLive: (isLive) => this.#onLive(isLive),
      onReload: () => this.#load(),
    });
    if (this.#getToken || this.#token || this.hasAttribute("token-url")) this.#load();
    else this.#askForToken();
  }

  #askForToken() {
    this.dispatchEvent(new CustomEvent("tocsin-token", { bubbles: true }));
  }

  async #fetchToken() {
    if (this.#getToken) return this.#getToken();
    const address = this.getAttribute("token-url");
    if (address) {
      const answer = await fetch(address, { headers: { accept: "application/json" }, credentials: "same-origin" });
      if (!answer.ok) throw new Error("no token");
      return (await answer.json()).token;
    }
    const token = this.#token;
    this.#token = "";
    if (!token) this.#askForToken();
    return token;
  }

  // ---- what is there -----------------------------------------------------------------------------------

  async #load(cursor = "") {
    const turn = ++this.#loading;
    const client = this.#client;
    if (!cursor && this.#entries.length === 0) this.#show("loading");
    try {
      const found = await client.list({ state: this.#tab, limit: PAGE, cursor });
      if (turn !== this.#loading || client !== this.#client) return;
      this.#entries = cursor ? [...this.#entries, ...found.entries] : found.entries;
      this.#next = found.next;
      this.#count(found);
      this.#show("ready");
      if (!cursor) client.follow(found.last_event_id);
      this.#markSeen();
    } catch (error) {
      if (turn !== this.#loading || client !== this.#client) return;
      this.#show("error");
    }
  }

  #count({ unread, unseen }) {
    const before = this.#counts.unread;
    this.#counts = { unread, unseen };
    if (before !== unread) this.dispatchEvent(new CustomEvent("tocsin-count", { detail: this.counts, bubbles: true }));
  }

  #onChange(change) {
    if (change.unread !== undefined) this.#count(change);
    const ids = new Set(change.message_ids ?? []);
    if (change.kind === "added") this.#add(change.entry);
    if (change.kind === "seen") this.#set(ids, { seen: true });
    if (change.kind === "read") this.#set(ids, { seen: true, read: true });
    if (change.kind === "removed") this.#entries = this.#entries.filter((entry) => !ids.has(entry.message_id));
    if (change.kind === "archived" || change.kind === "unarchived") this.#moved(ids, change.kind === "archived");
    if (change.kind === "erased") this.#entries = [];
    if (change.kind === "reload") this.#load();
    this.#draw();
  }

  #add(entry) {
    if (!entry || this.#tab === "archived" || this.#entries.some((each) => each.message_id === entry.message_id)) return;
    this.#entries.push({ seen: false, read: false, archived: false, url: "", ...entry });
    this.#entries.sort((a, b) => b.at_ms - a.at_ms || (a.message_id < b.message_id ? 1 : -1));
    this.#say(this.#words.added(entry.title));
    this.#markSeen();
  }

  #set(ids, values) {
    this.#entries = this.#entries.map((entry) => (ids.has(entry.message_id) ? { ...entry, ...values } : entry));
    if (this.#tab === "unread") this.#entries = this.#entries.filter((entry) => !entry.read);
  }

  #moved(ids, isArchived) {
    this.#set(ids, { seen: true, read: true, archived: isArchived });
    const leaves = this.#tab === "archived" ? !isArchived : isArchived;
    if (leaves) this.#entries = this.#entries.filter((entry) => !ids.has(entry.message_id));
    else if ([...ids].some((id) => !this.#entries.some((entry) => entry.message_id === id))) this.#load();
  }

  #onLive(isLive) {
    this.#isLive = isLive;
    this.#draw();
  }

  // What is on the screen has been seen.
  async #markSeen() {
    if (!this.#isOpen || document.visibilityState !== "visible") return;
    const ids = this.#entries.filter((entry) => !entry.seen).map((entry) => entry.message_id);
    if (ids.length) await this.#act("seen", ids.slice(0, 200));
  }

  async #act(action, ids, more = {}) {
    try {
      const done = await this.#client.act(action, ids ? { ids } : { all: true, ...more });
      const kind = { archive: "archived", unarchive: "unarchived", delete: "removed", click: "read" }[action] ?? action;
      this.#onChange({ kind, message_ids: done.changed, unread: done.unread, unseen: done.unseen });
      return true;
    } catch {
      this.#say(this.#words.failed);
      this.#nodes.problem.textContent = this.#words.failed;
      return false;
    }
  }

  // ---- what is shown -----------------------------------------------------------------------------------

  #frame() {
    const words = this.#words;
    const bell = h("button", { class: "bell", type: "button", part: "bell", "aria-haspopup": "dialog", onclick: () => (this.#isOpen ? this.close() : this.open()) }, icon("bell"));
    const badge = h("span", { class: "badge", part: "badge", "aria-hidden": "true" });
    bell.append(badge);
    const title = h("h2", { id: "title", tabindex: "-1" }, words.title);
    const all = h("button", { class: "plain", type: "button", onclick: () => this.#readAll() }, words.readAll);
    const shut = h("button", { class: "round", type: "button", "aria-label": words.close, title: words.close, onclick: () => this.close() }, icon("close"));
    const tabs = h("div", { class: "tabs", role: "group", "aria-label": words.filter });
    for (const [state, word] of [["open", words.all], ["unread", words.unreadOnly], ["archived", words.archived]]) {
      tabs.append(h("button", { type: "button", "data-state": state, onclick: () => this.#choose(state) }, word));
    }
    const list = h("ul", { role: "list" });
    const state = h("div", { class: "state" });
    const more = h("button", { class: "more", type: "button", onclick: () => this.#load(this.#next) }, words.more);
    const body = h("div", { class: "body" }, state, list, more);
    const problem = h("p", { class: "problem" });
    const status = h("p", { class: "status" });
    const panel = h("section", { class: "panel", part: "panel", id: "panel", role: "dialog", "aria-labelledby": "title", onkeydown: (event) => this.#onKey(event) },
      h("div", { class: "head" }, title, all, shut), tabs, problem, body, status);
    const spoken = h("div", { class: "spoken", role: "status", "aria-live": "polite" });
    this.#nodes = { bell, badge, title, all, tabs, list, state, more, body, problem, status, panel, spoken };
    this.#root.replaceChildren(bell, panel, spoken);
  }

  #show(phase) {
    this.#phase = phase;
    this.#draw();
  }

  #draw() {
    const { bell, badge, panel, list, state, more, body, tabs, all, status, problem } = this.#nodes;
    if (!bell) return;
    const words = this.#words;
    const { unread } = this.#counts;
    badge.textContent = unread > 99 ? "99+" : String(unread);
    badge.hidden = unread === 0;
    bell.setAttribute("aria-label", words.bell(unread));
    bell.setAttribute("aria-expanded", String(this.#isOpen));
    if (this.#isOpen) bell.setAttribute("aria-controls", "panel");
    else bell.removeAttribute("aria-controls");
    panel.hidden = !this.#isOpen;
    all.hidden = unread === 0 || this.#tab === "archived";
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.state === this.#tab));
    status.textContent = this.#phase === "ready" && !this.#isLive ? words.offline : "";
    status.hidden = !status.textContent;
    problem.hidden = !problem.textContent;
    body.setAttribute("aria-busy", String(this.#phase === "loading"));
    const hasList = this.#phase === "ready" && this.#entries.length > 0;
    this.#drawList(list);
    list.hidden = !hasList;
    more.hidden = !hasList || !this.#next;
    state.hidden = hasList;
    state.replaceChildren(...(hasList ? [] : this.#stateOf(this.#phase)));
  }

  #stateOf(phase) {
    const words = this.#words;
    if (phase === "loading") return [h("p", {}, words.loading)];
    if (phase === "error") {
      return [h("p", {}, words.error), h("button", { class: "strong", type: "button", onclick: () => this.#begin() }, words.again)];
    }
    return [icon("bell"), h("p", {}, { open: words.empty, unread: words.noUnread, archived: words.noArchived }[this.#tab])];
  }

  // Entries that stay keep their nodes, so that the focus stays where it is.
  #drawList(list) {
    const known = new Map([...list.children].map((node) => [node.dataset.id, node]));
    const focused = this.#root.activeElement?.closest("li");
    const place = focused ? [...list.children].indexOf(focused) : -1;
    const wanted = this.#entries.map((entry) => {
      const state = `${entry.read}${entry.archived}${this.#words.title}`;
      const node = known.get(entry.message_id);
      return node?.dataset.drawn === state ? node : this.#item(entry, state);
    });
    const had = focused && wanted.findIndex((node) => node.dataset.id === focused.dataset.id);
    if (wanted.some((node, index) => list.children[index] !== node) || wanted.length !== list.children.length) list.replaceChildren(...wanted);
    if (focused && this.#root.activeElement?.closest("li") == null && this.#isOpen) {
      (wanted[had >= 0 ? had : Math.min(place, wanted.length - 1)] ?? this.#nodes.title).focus();
    }
  }

  #item(entry, state) {
    const words = this.#words;
    const address = webAddress(entry.url);
    const when = new Date(entry.at_ms);
    const title = address
      ? h("a", { href: address, rel: "noopener noreferrer", target: this.getAttribute("target"), onclick: () => this.#follow(entry) }, entry.title)
      : h("span", {}, entry.title);
    const button = (name, label, action) =>
      h("button", { class: "round", type: "button", title: label, "aria-label": `${label}: ${entry.title}`, onclick: action }, icon(name));
    return h("li", { class: entry.read ? "entry" : "entry unread", "data-id": entry.message_id, "data-drawn": state, tabindex: "-1" },
      h("div", { class: "text" },
        h("h3", {}, entry.read ? null : h("span", { class: "spoken" }, `${words.unread}. `), title),
        entry.body ? h("p", {}, entry.body) : null,
        h("time", { datetime: when.toISOString(), title: words.fullTime(when) }, words.time(when, Date.now()))),
      h("div", { class: "buttons" },
        entry.read ? null : button("check", words.read, () => this.#act("read", [entry.message_id])),
        button("archive", entry.archived ? words.unarchive : words.archive, () => this.#act(entry.archived ? "unarchive" : "archive", [entry.message_id]))));
  }

  #follow(entry) {
    this.#act("click", [entry.message_id]);
  }

  #readAll() {
    const newest = Math.max(0, ...this.#entries.map((entry) => entry.at_ms));
    this.#nodes.title.focus();
    this.#act("read", null, newest ? { until_ms: newest } : {}).then((done) => {
      if (done) this.#load();
    });
  }

  #choose(state) {
    this.#tab = state;
    this.#entries = [];
    this.#load();
  }

  #onKey(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.close();
      return;
    }
    const items = [...this.#nodes.list.children];
    const at = items.indexOf(this.#root.activeElement?.closest("li"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || items.length === 0 || (at < 0 && event.key !== "ArrowDown")) return;
    event.preventDefault();
    items[Math.max(0, Math.min(items.length - 1, to))].focus();
  }

  #onOutside = (event) => {
    if (this.#isOpen && !event.composedPath().includes(this)) {
      this.#isOpen = false;
      this.#draw();
    }
  };

  #say(text) {
    if (this.#nodes.spoken) this.#nodes.spoken.textContent = text;
  }
}

if (!customElements.get("tocsin-inbox")) customElements.define("tocsin-inbox", TocsinInbox);

export { TocsinInbox };
