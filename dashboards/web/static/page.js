/** What every page has: the switch between light and dark, and its keys. */
import { byId } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = [];

/** Call back when the colours have changed. */
export function onTheme(listener) { listeners.push(listener); }

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

function switchTheme() {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("tocsin-theme", next);
  listeners.forEach((listener) => listener());
}

/** Bind keys that stand alone; none works while a field is edited. */
export function keys(bindings) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const action = bindings[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

byId("theme")?.addEventListener("click", switchTheme);
dark.addEventListener("change", () => listeners.forEach((listener) => listener()));
keys({ t: switchTheme, "/": () => byId("search")?.focus() });
