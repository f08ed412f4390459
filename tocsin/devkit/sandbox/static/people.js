/** The search box: people whose name, id, address or device holds what is typed. */
import { h, icon } from "./dom.js";
import { getJson } from "./store.js";
import { hue, initials, plural, when } from "./words.js";

export function avatar(name) {
  return h("span", { cls: "avatar", "aria-hidden": "true", vars: { "--hue": hue(name) } }, /\p{L}/u.test(name) ? initials(name) : icon("sms"));
}

export class PeopleSearch {
  constructor(input, list, onChoose) {
    this.input = input;
    this.list = list;
    this.onChoose = onChoose;
    this.found = [];
    this.at = -1;
    this.asked = 0;
    input.addEventListener("input", () => this.ask());
    input.addEventListener("focus", () => this.ask());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.onKey(event));
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const item = event.target.closest("[data-at]");
      if (item) this.choose(Number(item.dataset.at));
    });
  }

  async ask() {
    const asked = ++this.asked;
    const answer = await getJson(`/users?${new URLSearchParams({ q: this.input.value.trim(), limit: 30 })}`);
    if (asked !== this.asked || document.activeElement !== this.input) return;
    this.found = answer?.users ?? [];
    this.at = this.found.length && this.input.value.trim() ? 0 : -1;
    this.draw();
  }

  draw() {
    const items = this.found.map((found, at) => {
      const id = found.user.replace(/^default\//, "");
      const name = found.name || id;
      return h("li", { role: "option", id: `p${at}`, "data-at": at, "aria-selected": at === this.at },
        avatar(name),
        h("span", {}, h("b", {}, name), h("small", {}, found.name ? id : plural(found.messages, "message", "messages"))),
        h("span", { cls: "count" }, when(found.at_ms)));
    });
    this.list.replaceChildren(...(items.length ? items : [h("li", { cls: "none" }, this.input.value ? "Nobody of that name has a message." : "Nobody has a message yet.")]));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark();
  }

  mark() {
    for (const item of this.list.querySelectorAll("[data-at]")) item.setAttribute("aria-selected", Number(item.dataset.at) === this.at);
    this.input.setAttribute("aria-activedescendant", this.at < 0 ? "" : `p${this.at}`);
    this.list.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      event.preventDefault();
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.mark();
    } else if (event.key === "Enter" && this.found.length) {
      event.preventDefault();
      this.choose(Math.max(0, this.at));
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.input.value = "";
      this.input.blur();
    }
  }

  choose(at) {
    const found = this.found[at];
    this.input.value = "";
    this.input.blur();
    this.onChoose(found);
  }

  close() {
    this.asked++;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.setAttribute("aria-activedescendant", "");
  }
}
