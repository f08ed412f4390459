/** A page of figures: panels that refresh every few seconds while the page is in sight. */
import { byId } from "./dom.js";
import { Filters } from "./filters.js";
import { keys, onTheme } from "./page.js";
import { Panel } from "./panel.js";
import { clockTime, minuteTime, utc } from "./words.js";

const EVERY_MS = 5_000;
const panels = [...document.querySelectorAll("[data-panel]")].map((section) => new Panel(section));
const live = byId("live");
const pause = byId("pause");
let running = null;
let due = null;
let paused = false;

const filters = new Filters(byId("filters"), follow);
window.addEventListener("popstate", () => location.reload());

function tell(state, text) {
  live.className = `live ${state}`;
  live.lastElementChild.textContent = text;
}

/**
 * Take what belongs to the new address from its page: the links, the filters of the rows, the panels' sources.
 * A page that comes when a newer address was chosen already is of no use.
 */
async function follow() {
  const address = location.href;
  const answer = await fetch(address).catch(() => null);
  const text = answer?.ok ? await answer.text() : null;
  if (address !== location.href) return;
  if (text === null) return void location.reload();
  const next = new DOMParser().parseFromString(text, "text/html");
  for (const selector of [".boards", ".chips"]) document.querySelector(selector)?.replaceWith(next.querySelector(selector) ?? "");
  for (const panel of panels) {
    const other = next.querySelector(`[data-panel="${panel.section.dataset.panel}"]`);
    panel.section.dataset.source = other.dataset.source;
    panel.section.querySelector(".about").replaceWith(other.querySelector(".about"));
  }
  offerChoices();
  refresh();
}

function nameRange() {
  const result = panels.find((panel) => panel.result)?.result;
  if (!result) return;
  filters.note(result);
  const span = byId("span");
  if (result.to_ms <= 1) return;
  span.textContent = `${minuteTime(result.from_ms)} to ${minuteTime(result.to_ms)}`;
  span.title = `${utc(result.from_ms)} to ${utc(result.to_ms)}`;
}

async function refresh() {
  clearTimeout(due);
  running?.abort();
  const mine = (running = new AbortController());
  const began = performance.now();
  const came = await Promise.all(panels.map((panel) => panel.refresh(mine.signal)));
  if (mine.signal.aborted) return;
  nameRange();
  const failed = came.filter((one) => one === false).length;
  if (paused) tell("", "Paused");
  else if (failed) tell("off", failed === panels.length ? "No figures" : `${failed} of ${panels.length} failed`);
  else tell("on", `Live ${clockTime(Date.now())}`);
  schedule(Math.max(EVERY_MS, 5 * (performance.now() - began)));
}

function schedule(ms) {
  clearTimeout(due);
  if (!paused && !document.hidden) due = setTimeout(refresh, ms);
}

function switchPause() {
  paused = !paused;
  pause.setAttribute("aria-pressed", paused);
  if (!paused) return void refresh();
  clearTimeout(due);
  tell("", "Paused");
}

async function offerChoices() {
  const tenant = new URLSearchParams(location.search).get("tenant");
  const answer = await fetch(`/api/choices${tenant ? `?${new URLSearchParams({ tenant })}` : ""}`).catch(() => null);
  if (answer?.ok) filters.offer(await answer.json());
}

pause.addEventListener("click", switchPause);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(due) : paused || refresh()));
window.addEventListener("pagehide", () => running?.abort());
window.addEventListener("pageshow", (event) => event.persisted && !paused && refresh());
onTheme(() => panels.forEach((panel) => panel.repaint()));
keys({ p: switchPause });
refresh();
offerChoices();
