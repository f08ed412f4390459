/** The filters: every change goes into the address, and the page's links and panels follow it. */
import { h } from "./dom.js";

const iso = (local) => new Date(local).toISOString().replace(/\.\d+Z$/, "Z");

/** Write a time as a field for local times wants it. */
function local(ms) {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export class Filters {
  constructor(form, onChange) {
    this.form = form;
    this.times = form.querySelector("#times");
    this.onChange = onChange;
    for (const field of form.querySelectorAll("[data-at]")) field.value = local(Date.parse(field.dataset.at));
    form.addEventListener("change", (event) => this.changed(event.target));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.changed(form); });
    this.markClear();
  }

  /** The range shown now, for the fields of an absolute time. */
  note(result) { this.shown = result; }

  changed(field) {
    if (field.name === "range") this.chooseRange(field.value);
    const query = this.query();
    if (query === null) return;
    history.pushState(null, "", `${location.pathname}${query}`);
    this.markClear();
    this.onChange();
  }

  chooseRange(range) {
    this.times.hidden = range !== "";
    if (range !== "" || !this.shown) return;
    this.form.elements.from.value = local(this.shown.from_ms);
    this.form.elements.to.value = local(this.shown.to_ms + 59_999);
  }

  /** Write the address's query; null while an absolute time is not complete or runs backwards. */
  query() {
    const chosen = new URLSearchParams();
    for (const field of this.form.querySelectorAll("select, input[type=hidden]")) {
      if (field.name === "range" ? field.value && field.value !== "24h" : field.value && field.value !== field.dataset.default) chosen.set(field.name, field.value);
    }
    if (this.form.elements.range.value === "") {
      const { from, to } = this.form.elements;
      to.setCustomValidity(from.value && to.value && from.value >= to.value ? "This must be later than the time in From." : "");
      if (!from.value || !to.value || !this.form.reportValidity()) return null;
      chosen.set("from", iso(from.value));
      chosen.set("to", iso(to.value));
    }
    const text = chosen.toString();
    return text ? `?${text}` : "";
  }

  markClear() {
    const clear = this.form.querySelector("#clear");
    clear.hidden = !location.search;
  }

  /** Offer what there is. A choice that is no longer there stays chosen. */
  offer(choices) {
    for (const [name, values] of Object.entries(choices)) {
      const select = this.form.elements[name];
      const there = new Set([...select.options].map((option) => option.value));
      const missing = values.filter((value) => !there.has(value));
      select.append(...missing.map((value) => h("option", { value }, value)));
    }
  }
}
