/** What is known about one message, beside the way it looks. */
import { h } from "./dom.js";
import { PROVIDERS, STATUSES, fullTime, plural } from "./words.js";

function copyable(text) {
  const button = h("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return [h("code", {}, text), button];
}

const row = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));

function ofChannel(message) {
  const content = message.content;
  if (!content) return [];
  if (message.channel === "voice") return [row("Caller", content.sender), row("Language", content.language), row("Read", plural(content.times, "time", "times"))];
  if (message.channel === "whatsapp") return [row("Sender", content.sender), content.template && row("Template", h("code", {}, content.template))];
  if (message.channel === "sms") {
    return [row("Sender", content.sender), row("Billed as", `${content.encoding}, ${plural(content.segments, "segment", "segments")}`),
      row("Length", content.encoding === "GSM-7" ? plural(content.units, "septet", "septets") : plural(content.units, "UTF-16 unit", "UTF-16 units"))];
  }
  if (message.channel !== "push" && message.channel !== "webpush") return [];
  return [row("Platform", { ios: "iOS", android: "Android", web: "Browser" }[content.platform]), content.app && row("App", content.app),
    row("Urgency", content.urgent ? "High" : "Normal"), content.collapse_key && row("Replaces", content.collapse_key),
    content.badge !== null && row("Badge", String(content.badge))];
}

export function facts(message) {
  const payload = message.content?.payload;
  return h("aside", { cls: "facts", "aria-label": "Details" },
    h("h3", {}, "Details"),
    h("dl", {},
      row("Status", h("span", { cls: `tag ${message.status}` }, STATUSES[message.status], message.code && ` ${message.code}`)),
      row("Provider", PROVIDERS[message.provider] ?? message.provider),
      row("Received", h("time", { datetime: new Date(message.at_ms).toISOString() }, fullTime(message.at_ms))),
      row("To", h("code", {}, message.recipient)),
      ofChannel(message),
      message.message_id && row("Message id", copyable(message.message_id)),
      message.provider_id && row("Provider id", h("code", {}, message.provider_id))),
    payload && h("details", {}, h("summary", {}, "Payload"), h("pre", { tabindex: "0" }, JSON.stringify(payload, null, 2))));
}
