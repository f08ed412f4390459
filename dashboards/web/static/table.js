/** Tables: sortable, patched in place so that a refresh neither flickers nor takes the focus away. */
import { h } from "./dom.js";
import { fullTime, shortId, TONES, utc, write } from "./words.js";

const RIGHT = new Set(["number", "ratio", "ms"]);
const STATUS = new Set(["status", "state", "stage"]);

/** Build the inside of one cell. */
function inside(value, column, link) {
  if (value === null || value === "" || value === undefined) return link ? h("a", { href: link }, "(none)") : h("span", { cls: "none" }, "–");
  if (column.kind === "time") {
    const time = h("time", { datetime: new Date(value).toISOString(), title: utc(value) }, fullTime(value));
    return link ? h("a", { href: link }, time) : time;
  }
  if (column.kind === "story") return h("a", { href: storyOf(value), title: `Story of ${value}` }, shortId(value));
  if (column.kind === "detail") return facts(value);
  const text = write(value, column.kind);
  const shown = STATUS.has(column.name) ? h("span", { cls: `status ${TONES[value] ?? ""}` }, text) : text;
  return link ? h("a", { href: link }, shown) : shown;
}

function storyOf(subject) {
  const tenant = new URLSearchParams(location.search).get("tenant");
  return `/story/${encodeURIComponent(subject)}${tenant ? `?${new URLSearchParams({ tenant })}` : ""}`;
}

function facts(text) {
  let found = {};
  try { found = JSON.parse(text); } catch { return text; }
  const entries = Object.entries(found ?? {});
  if (!entries.length) return h("span", { cls: "none" }, "–");
  return h("ul", { cls: "facts" }, entries.map(([name, value]) => h("li", {}, h("span", {}, `${name.replaceAll("_", " ").replace(/ ms$/, "")} `), spoken(name, value))));
}

function spoken(name, value) {
  if (!name.endsWith("_ms") || typeof value !== "number") return String(value);
  return value > 1e11 ? h("time", { title: utc(value) }, fullTime(value)) : write(value, "ms");
}

export class Table {
  constructor(caption) {
    this.caption = caption;
    this.sorted = null;
    this.head = h("tr");
    this.tbody = h("tbody");
    this.element = h("div", { cls: "scroll", role: "region", "aria-label": `${caption}, table`, tabindex: "0" },
      h("table", {}, h("caption", { cls: "hidden" }, caption), h("thead", {}, this.head), this.tbody));
  }

  /** Show rows; `links` holds for each row where its first cell leads. */
  show(result) {
    this.result = result;
    const names = result.columns.map((column) => column.name + column.kind).join();
    if (names !== this.names) this.drawHead(names);
    this.drawRows();
  }

  drawHead(names) {
    this.names = names;
    this.tbody.replaceChildren();
    this.head.replaceChildren(...this.result.columns.map((column, at) =>
      h("th", { scope: "col", cls: RIGHT.has(column.kind) && "right" }, h("button", { type: "button", onclick: () => this.sort(at) }, column.label))));
  }

  sort(at) {
    const numeric = this.result.columns[at].kind !== "text";
    const down = this.sorted?.at === at ? !this.sorted.down : numeric;
    this.sorted = { at, down };
    [...this.head.children].forEach((th, index) => (index === at ? th.setAttribute("aria-sort", down ? "descending" : "ascending") : th.removeAttribute("aria-sort")));
    this.drawRows();
  }

  order() {
    const order = this.result.rows.map((_, index) => index);
    if (!this.sorted) return order;
    const { at, down } = this.sorted;
    const value = (index) => this.result.rows[index][at];
    const compare = (one, two) => (typeof one === "number" && typeof two === "number" ? one - two : String(one ?? "").localeCompare(String(two ?? ""), undefined, { numeric: true }));
    return order.sort((one, two) => (down ? -1 : 1) * compare(value(one), value(two)));
  }

  drawRows() {
    const { columns, rows, links = [] } = this.result;
    const order = this.order();
    while (this.tbody.rows.length > order.length) this.tbody.lastElementChild.remove();
    order.forEach((index, place) => {
      const row = this.tbody.rows[place] ?? this.tbody.appendChild(this.row(columns));
      columns.forEach((column, at) => this.cell(row.cells[at], rows[index][at], column, this.leads(column, at, columns) ? links[index] : ""));
    });
  }

  /** The first cell leads to the rows; if it has a story of its own, the first one that has none. */
  leads(column, at, columns) {
    return at === columns.findIndex((each) => each.kind !== "story" && each.kind !== "detail");
  }

  row(columns) {
    return h("tr", {}, columns.map((column) => h("td", { cls: RIGHT.has(column.kind) ? "right" : column.kind === "story" ? "id" : undefined })));
  }

  cell(td, value, column, link) {
    const sign = `${JSON.stringify(value)} ${link ?? ""}`;
    if (td.dataset.sign === sign) return;
    const focused = td.contains(document.activeElement);
    td.dataset.sign = sign;
    td.replaceChildren(inside(value, column, link));
    td.classList.toggle("short", column.kind === "text" && String(value ?? "").length <= 32);
    if (focused) td.querySelector("a")?.focus();
  }
}
