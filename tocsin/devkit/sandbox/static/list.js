/** The list: only the rows in sight exist, however many messages are loaded. */
import { h, icon } from "./dom.js";
import { CHANNELS, STATUSES, fullTime, person, when } from "./words.js";

const ROW = 74;
const SPARE = 8;

export class List {
  constructor(root, store, onSelect) {
    this.root = root;
    this.store = store;
    this.onSelect = onSelect;
    this.selected = 0;
    this.fresh = new Set();
    this.rows = new Map();
    this.space = h("div", { cls: "space", role: "presentation" });
    root.append(this.space);
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    root.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.select(Number(row.dataset.seq), { open: true });
    });
    new ResizeObserver(() => this.draw()).observe(root);
    store.atTop = () => root.scrollTop < ROW / 2;
    store.addEventListener("reloaded", () => this.reset());
    store.addEventListener("grown", () => this.draw());
    store.addEventListener("added", (event) => this.added(event.detail.count));
  }

  reset() {
    this.fresh.clear();
    this.clear();
    this.root.scrollTop = 0;
    this.draw();
  }

  clear() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
  }

  /** New rows come in at the top; a reader further down keeps his place. */
  added(count) {
    const top = this.store.atTop();
    for (const message of this.store.items.slice(0, count)) this.fresh.add(message.seq);
    if (!top) this.root.scrollTop += count * ROW;
    this.draw();
  }

  draw() {
    const { items } = this.store;
    const height = this.root.clientHeight;
    this.space.style.height = `${items.length * ROW}px`;
    const first = Math.max(0, Math.floor(this.root.scrollTop / ROW) - SPARE);
    const last = Math.min(items.length, Math.ceil((this.root.scrollTop + height) / ROW) + SPARE);
    const wanted = new Map();
    for (let index = first; index < last; index++) wanted.set(items[index].seq, index);
    for (const [seq, row] of this.rows) if (!wanted.has(seq)) { row.remove(); this.rows.delete(seq); }
    for (const [seq, index] of wanted) this.place(items[index], index);
    this.root.setAttribute("aria-activedescendant", this.rows.has(this.selected) ? `m${this.selected}` : "");
    if (last > items.length - 50) this.store.more();
  }

  place(message, index) {
    let row = this.rows.get(message.seq);
    if (!row) {
      row = this.build(message);
      this.rows.set(message.seq, row);
      this.space.append(row);
    }
    row.style.transform = `translateY(${index * ROW}px)`;
    row.setAttribute("aria-posinset", index + 1);
    row.setAttribute("aria-setsize", this.store.complete ? this.store.items.length : -1);
    row.setAttribute("aria-selected", message.seq === this.selected);
  }

  build(message) {
    const title = message.title || "(nothing to show)";
    const rest = ["sms", "whatsapp", "voice"].includes(message.channel) ? "" : message.text;
    const row = h("div", { cls: "row", role: "option", id: `m${message.seq}`, "data-seq": message.seq },
      h("span", { cls: `glyph ${message.channel}`, title: CHANNELS[message.channel] }, icon(message.channel)),
      h("span", { cls: "who" }, person(message), h("span", { cls: "hidden" }, `, ${CHANNELS[message.channel]}`)),
      h("time", { datetime: new Date(message.at_ms).toISOString(), title: fullTime(message.at_ms) }, when(message.at_ms)),
      h("span", { cls: "what" }, title, rest && h("span", {}, ` · ${rest}`)),
      message.status === "accepted" ? h("span") : h("span", { cls: `tag state ${message.status}` }, STATUSES[message.status], message.code && ` ${message.code}`),
    );
    if (this.fresh.delete(message.seq)) row.classList.add("fresh");
    return row;
  }

  index() {
    return this.store.items.findIndex((message) => message.seq === this.selected);
  }

  move(step) {
    const { items } = this.store;
    if (!items.length) return;
    const at = this.index();
    const next = at < 0 ? 0 : Math.min(items.length - 1, Math.max(0, at + step));
    this.select(items[next].seq, {});
  }

  select(seq, { open = false } = {}) {
    this.selected = seq;
    this.reveal();
    this.draw();
    this.onSelect(seq, open);
  }

  reveal() {
    const at = this.index();
    if (at < 0) return;
    const { scrollTop, clientHeight } = this.root;
    if (at * ROW < scrollTop) this.root.scrollTop = at * ROW;
    else if ((at + 1) * ROW > scrollTop + clientHeight) this.root.scrollTop = (at + 1) * ROW - clientHeight;
  }
}
