/** The page of a story: times in the viewer's zone; while it waits, the page is brought up to date. */
import { byId } from "./dom.js";
import "./page.js";
import { fullTime, write } from "./words.js";

const EVERY_MS = 5_000;

function writeLocal(root) {
  for (const time of root.querySelectorAll("time[data-ms]")) time.textContent = fullTime(Number(time.dataset.ms));
  for (const data of root.querySelectorAll("data[data-kind]")) data.textContent = write(Number(data.value), data.dataset.kind);
}

let seen = byId("stories").innerHTML;

async function refresh() {
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("stories");
  if (!next || next.innerHTML === seen) return;
  seen = next.innerHTML;
  const open = [...document.querySelectorAll("details")].map((each) => each.open);
  writeLocal(next);
  byId("stories").replaceWith(next);
  [...next.querySelectorAll("details")].forEach((each, at) => { each.open = open[at] ?? false; });
}

writeLocal(document);
if (byId("stories").hasAttribute("data-waiting")) setInterval(() => document.hidden || refresh(), EVERY_MS);
