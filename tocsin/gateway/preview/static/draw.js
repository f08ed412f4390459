/** Draws one preview: as a mail, a text message, a card of a telephone, an entry of the inbox or a chat. */
import { byId, h } from "/static/dom.js";

const number = new Intl.NumberFormat("en");
let width = "desktop";

/** Gives a box new children. If one of the old had the keyboard's focus, the new one of the same id gets it, else the first that Tab reaches. */
export function refill(box, children) {
  const held = box.contains(document.activeElement) ? document.activeElement.id : null;
  box.replaceChildren(...children);
  if (held !== null) (byId(held) ?? box.querySelector("button:not([tabindex='-1'])"))?.focus();
}

export function drawFaults(found) {
  const lines = [];
  if (found.problem) lines.push(h("p", { cls: "bad" }, found.problem));
  for (const field of found.missing) {
    const cure = field.close ? `, did you mean ${field.close}?` : field.has.length && !field.optional ? `; there is ${field.has.join(", ")}` : "";
    const text = field.optional ? ": the template expects that" : cure;
    lines.push(h("p", { cls: field.optional ? "calm" : "bad" }, "The data has no ", h("code", {}, field.field), text,
      h("span", { cls: "places" }, field.places.join("  "))));
  }
  for (const note of found.notes) lines.push(h("p", { cls: "warn" }, note));
  byId("faults").replaceChildren(...lines);
}

export function drawMeasures(found) {
  byId("measures").replaceChildren(...found.measures.map((one) => {
    const over = one.limit !== null && one.value > one.limit;
    const room = one.limit === null ? "" : ` of ${number.format(one.limit)}`;
    const meter = one.limit === null ? null : h("progress", { max: one.limit, value: Math.min(one.value, one.limit), "aria-label": `${one.name} of its limit` });
    return h("li", { cls: over || one.note ? "warn" : "" }, h("span", { cls: "name" }, one.name), h("b", {}, number.format(one.value)), h("span", {}, `${room} ${one.unit}`), meter);
  }));
}

export function drawFiles(found) {
  const files = Object.values(found.files);
  const written = found.written_in && found.written_in !== found.locale ? `${found.locale} is written in ${found.written_in}. ` : "";
  byId("files").textContent = files.length ? `${written}Written by ${files.join(", ")}` : "";
}

export function drawRows(rows, chosen, pick) {
  refill(byId("rows"), rows.map((row) => {
    const here = row.channel === chosen.channel && row.locale === chosen.locale;
    const size = row.measures.filter((one) => one.limit !== null || one.name === "segments")
      .map((one) => `${one.name} ${number.format(one.value)}${one.limit === null ? "" : `/${number.format(one.limit)}`} ${one.unit}`);
    const state = row.problem ? "cannot be rendered" : row.faulty ? "field missing" : row.notes.length ? row.notes.join("; ") : "fine";
    const tone = row.problem || row.faulty ? "bad" : row.notes.length ? "warn" : "good";
    return h("tr", { cls: here ? "here" : "" },
      h("th", { scope: "row" }, h("button", { type: "button", cls: "go", id: `row-${row.channel}-${row.locale}`, "aria-label": `Show ${row.channel} in ${row.locale}`, "aria-current": here ? "true" : null, onclick: () => pick(row) }, row.channel)),
      h("td", {}, row.locale), h("td", { lang: row.written_in || null, dir: "auto" }, row.headline), h("td", { cls: "size" }, size.join(" · ")),
      h("td", {}, h("span", { cls: `state ${tone}` }, state)));
  }));
}

export function drawView(found, request) {
  const view = byId("view");
  view.className = `view kind-${found.kind || "none"}`;
  if (!found.content) {
    view.replaceChildren(h("p", { cls: "nothing" }, "There is nothing to show until the mistake above is corrected."));
    return;
  }
  const draw = KINDS[found.kind] ?? asText;
  view.replaceChildren(...draw(found.content, found, request).filter(Boolean));
  if (found.kind === "email") fillMail(request);
}

function paragraphs(text, found) {
  return h("p", { cls: "body", lang: found.written_in, dir: "auto" }, text);
}

function email(content, found) {
  const sender = content.sender_name || content.sender;
  const first = content.text.split(/\s+/).slice(0, 24).join(" ");
  const frame = h("iframe", { name: "mail", title: "The mail in HTML", sandbox: "", cls: width });
  const widths = h("div", { cls: "widths", role: "group", "aria-label": "Width of the mail" }, ...["desktop", "phone"].map((name) =>
    h("button", { type: "button", "aria-pressed": String(width === name), onclick: (event) => setWidth(name, frame, event.target) }, name)));
  return [
    h("div", { cls: "listed" }, h("span", { cls: "avatar", "aria-hidden": "true" }, sender.slice(0, 1).toUpperCase()),
      h("div", {}, h("b", {}, sender), h("span", { cls: "subject", lang: found.written_in, dir: "auto" }, content.subject), h("span", { cls: "snippet", lang: found.written_in, dir: "auto" }, first))),
    widths, h("div", { cls: "paper" }, frame),
    h("details", {}, h("summary", {}, "Plain text"), h("pre", { tabindex: "0", lang: found.written_in, dir: "auto" }, content.text)),
    h("details", {}, h("summary", {}, "Headers"), h("dl", {}, ...headers(content).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))),
  ];
}

function headers(content) {
  const sender = content.sender_name ? `${content.sender_name} <${content.sender}>` : content.sender;
  return [["From", sender], ["Reply-To", content.reply_to ?? ""], ["Subject", content.subject], ...Object.entries(content.headers ?? {})].filter(([, value]) => value);
}

function setWidth(name, frame, button) {
  width = name;
  frame.className = name;
  for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String(each === button));
}

/** The server answers the form with the mail alone: so it has a policy of its own, and no script or origin. */
function fillMail(request) {
  const form = byId("mail");
  form.elements.request.value = JSON.stringify(request);
  form.submit();
}

function sms(content, found) {
  return [h("div", { cls: "phone" }, h("p", { cls: "from" }, content.sender || "the tenant's number"),
    h("p", { cls: "bubble", lang: found.written_in, dir: "auto" }, content.text),
    h("p", { cls: "under" }, `${content.segments} ${content.segments === 1 ? "segment" : "segments"} · ${content.encoding}`))];
}

function push(content, found) {
  return [h("div", { cls: "phone lock" }, h("div", { cls: "push" }, h("span", { cls: "app", "aria-hidden": "true" }), h("div", {},
    h("p", { cls: "meta" }, found.channel === "webpush" ? "in the browser" : content.urgent ? "now, time-sensitive" : "now"),
    h("p", { cls: "title", lang: found.written_in, dir: "auto" }, content.title), paragraphs(content.body, found)))), link(content.url)];
}

function inapp(content, found) {
  return [h("div", { cls: "inbox" }, h("span", { cls: "dot", "aria-hidden": "true" }), h("div", {},
    h("p", { cls: "title", lang: found.written_in, dir: "auto" }, content.title), paragraphs(content.body, found), h("p", { cls: "meta" }, "just now"))), link(content.url)];
}

function chat(content, found) {
  return [h("div", { cls: "phone" }, content.title ? h("p", { cls: "from", lang: found.written_in }, content.title) : null,
    h("p", { cls: "bubble", lang: found.written_in, dir: "auto" }, content.text)), link(content.url)];
}

function asText(content) {
  return [h("pre", { tabindex: "0" }, JSON.stringify(content, null, 2))];
}

function link(url) {
  return url ? h("p", { cls: "link" }, "A tap opens ", h("code", {}, url)) : null;
}

const KINDS = { email, sms, push, inapp, chat, whatsapp: chat, voice: chat };
