/** The preview page: what is chosen, what is asked of the server, and when. */
import { byId, h } from "/static/dom.js";
import { drawFaults, drawFiles, drawMeasures, drawRows, drawView, refill } from "./draw.js";

const WAIT_MS = 250;
const LOOK_MS = 1200;
const chosen = { tenant: "", notification: "", use: 0, channel: "", locale: "" };
let catalog = { revision: 0, version: "", problem: "", tenants: [] };
let asking = null;
let waiting = 0;
let edited = false;

const tenant = () => catalog.tenants.find((one) => one.name === chosen.tenant);
const notification = () => tenant()?.notifications.find((one) => one.name === chosen.notification);
const use = () => notification()?.uses[chosen.use] ?? notification()?.uses[0];

async function ask(path, body, signal) {
  const options = body ? { method: "POST", body: JSON.stringify(body), signal } : { signal };
  const answer = await fetch(path, { ...options, headers: { "content-type": "application/json" } });
  const document = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(document.detail), { field: document.field });
  return document;
}

function options(select, values, selected, label = (value) => value) {
  select.replaceChildren(...values.map((value, at) => h("option", { value: String(typeof value === "string" ? value : at), selected: (typeof value === "string" ? value : at) === selected }, label(value))));
}

function readAddress() {
  const [name = "", channel = "", locale = "", owner = ""] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (name) Object.assign(chosen, { notification: name, channel, locale });
  if (owner) chosen.tenant = owner;
}

function writeAddress() {
  const parts = [chosen.notification, chosen.channel, chosen.locale, chosen.tenant];
  history.replaceState(null, "", `#${parts.map(encodeURIComponent).join("/")}`);
}

/** Keeps what is chosen possible: another notification may have other channels, templates and languages. */
function settle() {
  if (!tenant()) chosen.tenant = (catalog.tenants.find((one) => one.name === "default") ?? catalog.tenants[0])?.name ?? "";
  if (!notification()) chosen.notification = tenant()?.notifications[0]?.name ?? "";
  const found = notification();
  if (!found) return;
  if (chosen.use >= found.uses.length) chosen.use = 0;
  if (!found.channels.includes(chosen.channel)) chosen.channel = found.channels[0];
  if (!chosen.locale) chosen.locale = use().locales.includes(tenant().locale) ? tenant().locale : use().locales[0];
}

function drawChoices() {
  options(byId("tenant"), catalog.tenants.map((one) => one.name), chosen.tenant);
  byId("tenants").hidden = catalog.tenants.length < 2;
  options(byId("notification"), tenant()?.notifications.map((one) => one.name) ?? [], chosen.notification);
  const uses = notification()?.uses ?? [];
  options(byId("use"), uses, chosen.use, (one) => one.template + (one.digest ? " (digest)" : ""));
  byId("uses").hidden = uses.length < 2;
  byId("timezone").placeholder = tenant()?.timezone ?? "";
  drawTabs();
  drawLocales();
}

function drawTabs() {
  const channels = notification()?.channels ?? [];
  refill(byId("channels"), channels.map((name) => h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "view", "aria-selected": String(name === chosen.channel),
    tabindex: name === chosen.channel ? "0" : "-1", onclick: () => pick({ channel: name }, `tab-${name}`),
  }, name)));
  byId("view").setAttribute("aria-labelledby", `tab-${chosen.channel}`);
}

function drawLocales() {
  const there = use()?.locales ?? [];
  const shown = there.includes(chosen.locale) || !chosen.locale ? there : [...there, chosen.locale];
  refill(byId("locales"), shown.map((name) => h("button", {
    type: "button", role: "radio", id: `locale-${name}`, "aria-checked": String(name === chosen.locale),
    tabindex: name === chosen.locale ? "0" : "-1", onclick: () => pick({ locale: name }, `locale-${name}`),
  }, name)));
}

/** Moves among tabs or languages by the arrow keys, as those roles promise. */
function arrows(list, name) {
  byId(list).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = [...byId(list).children];
    if (!step || !all.length) return;
    event.preventDefault();
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    pick({ [name]: next.textContent }, next.id);
  });
}

function pick(values, focus = "") {
  Object.assign(chosen, values);
  settle();
  drawChoices();
  writeAddress();
  if (focus) byId(focus)?.focus();
  show();
}

async function chooseNotification(values) {
  pick({ use: 0, ...values });
  await loadSamples();
}

async function loadSamples() {
  if (!use()) return;
  const query = new URLSearchParams({ tenant: chosen.tenant, template: use().template, digest: String(use().digest) });
  let samples = [{}];
  try {
    samples = (await ask(`/api/samples?${query}`)).samples;
  } catch (error) {
    fault("data-fault", error.message);
  }
  byId("sample").replaceChildren(...samples.map((_, at) => h("option", { value: String(at) }, `Sample ${at + 1}`)));
  byId("sample").onchange = () => write(samples[Number(byId("sample").value)]);
  write(samples[0]);
}

function write(data) {
  byId("data").value = JSON.stringify(data, null, 2);
  edited = false;
  show();
}

function fault(id, text) {
  byId(id).textContent = text;
  byId(id).hidden = !text;
  const field = { "data-fault": "data", "zone-fault": "timezone" }[id];
  if (text) byId(field).setAttribute("aria-invalid", "true");
  else byId(field).removeAttribute("aria-invalid");
}

function data() {
  try {
    const found = JSON.parse(byId("data").value);
    fault("data-fault", "");
    return found;
  } catch (error) {
    fault("data-fault", `This is not JSON: ${error.message}`);
    return undefined;
  }
}

function request() {
  const values = data();
  if (values === undefined || !use()) return null;
  return {
    notification: chosen.notification, tenant: chosen.tenant, template: use().template, digest: use().digest,
    data: values, user: byId("user").value.trim(), timezone: byId("timezone").value.trim(),
  };
}

async function show() {
  const all = request();
  if (!all) return;
  asking?.abort();
  asking = new AbortController();
  document.body.dataset.busy = "true";
  try {
    const one = { ...all, channel: chosen.channel, locale: chosen.locale };
    const found = await ask("/api/preview", one, asking.signal);
    fault("zone-fault", "");
    draw(found, one);
    const every = await ask("/api/previews", all, asking.signal);
    drawRows(every.rows, chosen, (row) => pick({ channel: row.channel, locale: row.locale }));
    byId("unused").textContent = `No template uses: ${every.unused.join(", ")}`;
    byId("unused").hidden = !every.unused.length;
    document.body.dataset.busy = "";
  } catch (error) {
    if (error.name === "AbortError") return;
    document.body.dataset.busy = "";
    if (error.field === "timezone") fault("zone-fault", error.message);
    else drawFaults({ problem: error.message, missing: [], notes: [] });
  }
}

function draw(found, one) {
  drawFaults(found);
  drawView(found, one);
  drawMeasures(found);
  drawFiles(found);
}

function soon() {
  edited = true;
  clearTimeout(waiting);
  waiting = setTimeout(show, WAIT_MS);
}

async function load() {
  catalog = await ask("/api/catalog");
  standing(catalog);
  settle();
  drawChoices();
}

function standing(state) {
  byId("live").className = `live ${state.problem ? "off" : "on"}`;
  byId("version").textContent = state.version ? `catalog ${state.version.split("-")[0]}` : "no catalog";
  byId("mistakes").textContent = state.problem ? `The files have mistakes, so what was before is shown:\n${state.problem}` : "";
  byId("mistakes").hidden = !state.problem;
}

/** Looks whether a file was saved; then everything is shown anew, and samples that nobody has changed here. */
async function look() {
  if (!document.hidden) {
    try {
      const state = await ask("/api/state");
      if (state.revision !== catalog.revision) {
        await load();
        if (edited) show();
        else await loadSamples();
      }
    } catch {
      byId("live").className = "live off";
      byId("version").textContent = "the server is away";
    }
  }
  setTimeout(look, LOOK_MS);
}

function switchTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement.dataset;
  root.theme = (root.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  localStorage.setItem("tocsin-theme", root.theme);
}

function listen() {
  byId("tenant").addEventListener("change", (event) => chooseNotification({ tenant: event.target.value }));
  byId("notification").addEventListener("change", (event) => chooseNotification({ notification: event.target.value, locale: "" }));
  byId("use").addEventListener("change", (event) => chooseNotification({ use: Number(event.target.value) }));
  byId("other").addEventListener("change", (event) => event.target.value.trim() && pick({ locale: event.target.value.trim() }));
  for (const id of ["data", "user", "timezone"]) byId(id).addEventListener("input", soon);
  byId("theme").addEventListener("click", switchTheme);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea, select");
    if (event.key === "t" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) switchTheme();
  });
  arrows("channels", "channel");
  arrows("locales", "locale");
}

listen();
readAddress();
await load();
writeAddress();
await loadSamples();
setTimeout(look, LOOK_MS);
