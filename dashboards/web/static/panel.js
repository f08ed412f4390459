/** One panel: fetches its figures and draws them; a failure is said in the panel, and the figures before it stay. */
import { ChartView } from "./charts.js";
import { h } from "./dom.js";
import { Table } from "./table.js";
import { write } from "./words.js";

const MORE = { 200: 1000, 1000: 2000 };

export class Panel {
  constructor(section) {
    this.section = section;
    this.body = section.querySelector(".body");
    this.fault = section.querySelector(".fault");
    this.title = section.querySelector("h2").textContent;
    this.sign = "";
    this.result = null;
  }

  get source() { return this.section.dataset.source; }

  /** Fetch and draw; says whether the figures came. */
  async refresh(signal) {
    const source = this.source;
    let text = "";
    try {
      const answer = await fetch(source, { signal, headers: { accept: "application/json" } });
      if (answer.redirected) return void location.reload();
      text = await answer.text();
      if (!answer.ok) throw new Error(complaint(text, answer.status));
    } catch (error) {
      if (error.name === "AbortError") return null;
      this.fail(error instanceof TypeError ? "The dashboard does not answer. Is it still running?" : error.message);
      return false;
    }
    if (source !== this.source) return null;
    this.recover();
    if (text !== this.sign) this.draw(JSON.parse(text));
    this.sign = text;
    return true;
  }

  fail(text) {
    this.section.classList.add("stale");
    if (this.fault.textContent !== text) this.fault.textContent = text;
    this.fault.hidden = false;
    if (!this.result) this.body.replaceChildren(h("p", { cls: "quiet" }, "No figures yet"));
  }

  recover() {
    this.section.classList.remove("stale");
    this.fault.hidden = true;
  }

  draw(result) {
    this.result = result;
    if (!result.rows.length) return this.empty();
    if (result.chart.kind === "stat") return this.stat(result);
    if (!this.table) this.build(result);
    this.chart?.show(result);
    if (!this.folded || this.folded.open) this.table.show(result);
    this.count(result);
  }

  empty() {
    this.table = this.chart = null;
    const stat = this.section.classList.contains("stat");
    this.body.replaceChildren(h("p", { cls: "quiet" }, stat ? "–" : "Nothing in this time, with these filters."));
  }

  build(result) {
    this.table = new Table(this.title);
    this.chart = result.chart.kind === "table" ? null : new ChartView(this.title);
    this.more = h("p", { cls: "more" });
    this.folded = this.chart && h("details", { cls: "as-table", ontoggle: () => this.folded.open && this.table.show(this.result) },
      h("summary", {}, "Show as a table"), this.table.element);
    this.body.replaceChildren(...[this.chart?.element, this.folded ?? this.table.element, this.more].filter(Boolean));
  }

  count(result) {
    this.more.replaceChildren();
    this.more.hidden = !result.more;
    if (!result.more) return;
    const query = new URLSearchParams(location.search);
    const next = MORE[query.get("rows") ?? 200];
    query.set("rows", next);
    this.more.append(`The first ${write(result.rows.length, "number")} rows. `);
    if (next && location.pathname.startsWith("/rows/")) this.more.append(h("a", { href: `?${query}` }, `Show up to ${write(next, "number")}`));
    else this.more.append("Choose a shorter time or more filters to see the others.");
  }

  stat(result) {
    const at = result.columns.findIndex((column) => column.name === result.chart.y);
    const column = result.columns[at];
    const link = result.links?.[0];
    const text = write(result.rows[0][at], column.kind);
    if (!this.value || this.value.tagName !== (link ? "A" : "SPAN") || !this.value.isConnected) {
      this.value = h(link ? "a" : "span", { cls: "value" });
      this.beside = h("p", { cls: "beside" });
      this.body.replaceChildren(this.value, this.beside);
    }
    if (link) {
      this.value.href = link;
      this.value.setAttribute("aria-label", `${this.title}: ${text}, show the rows`);
    }
    this.value.textContent = text;
    this.beside.hidden = result.columns.length === 1;
    this.beside.textContent = result.columns.flatMap((each, index) => (index === at ? [] : [beside(each, result.rows[0][index])])).join(" · ");
  }

  repaint() {
    if (this.chart && this.result) this.chart.repaint(this.result);
  }
}

/** Write a further figure of a tile: `587 users`, but `p99 240 ms`. */
function beside(column, value) {
  const text = write(value, column.kind);
  return column.kind === "number" ? `${text} ${column.label}` : `${column.label} ${text}`;
}

function complaint(text, status) {
  try {
    const problem = JSON.parse(text);
    return `${problem.title}. ${problem.field ? `${problem.field}: ` : ""}${problem.detail}`;
  } catch {
    return `The dashboard answered ${status}.`;
  }
}
