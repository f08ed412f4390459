/** The right side: one message, its face and its facts; or what to do when there is none. */
import { h, icon } from "./dom.js";
import { face } from "./faces.js";
import { facts } from "./facts.js";
import { avatar } from "./people.js";
import { getJson } from "./store.js";
import { CHANNELS, person } from "./words.js";

export class Detail {
  constructor(root, { onOpen, onBack }) {
    this.root = root;
    this.onOpen = onOpen;
    this.onBack = onBack;
    this.ticket = 0;
    this.shown = null;
    this.wanted = 0;
  }

  /** Whether no message is shown or on its way. */
  get idle() {
    return !this.wanted;
  }

  async show(seq) {
    const ticket = ++this.ticket;
    this.wanted = seq;
    const message = await getJson(`/sent/${seq}`);
    if (ticket !== this.ticket) return;
    if (message === undefined) return this.none("The sandbox does not answer. Start it again, then choose the message again.");
    if (!message) return this.none("This message is no longer kept.");
    const drawn = await face(message, this.onOpen);
    if (ticket !== this.ticket) return;
    this.shown = { message, drawn };
    const name = person(message);
    this.root.replaceChildren(h("div", { cls: "reader" },
      h("header", {},
        h("button", { type: "button", cls: "icon back", "aria-label": "Back to the list", onclick: this.onBack }, icon("back")),
        avatar(name),
        h("div", {}, h("h2", {}, name), h("p", {}, `${CHANNELS[message.channel]} to ${message.channel === "inapp" ? name : message.recipient}`))),
      h("div", { cls: `stage ${message.channel === "email" ? "wide" : ""}` }, drawn, facts(message))));
    this.root.scrollTop = 0;
  }

  nextView() {
    this.shown?.drawn.nextView?.();
  }

  none(text) {
    this.ticket++;
    this.shown = null;
    this.wanted = 0;
    this.root.replaceChildren(h("div", { cls: "none" }, icon("bell"), h("p", {}, text)));
  }

  /** Before the first message: where to send one. */
  start() {
    this.ticket++;
    this.shown = null;
    this.wanted = 0;
    const { origin } = location;
    const command = `curl ${origin}/twilio/2010-04-01/Accounts/AC${"0".repeat(32)}/Messages.json \\\n  -u AC${"0".repeat(32)}:token \\\n  -d To=+15005550006 -d From=+15005550006 -d Body="Hello from Tocsin"`;
    const copy = h("button", { type: "button", cls: "button", onclick: async () => {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy the command"; }, 1500);
    } }, "Copy the command");
    const bases = [["SendGrid", `${origin}/sendgrid`], ["Amazon SES", `${origin}/ses`], ["Mailgun", `${origin}/mailgun`], ["Mandrill", `${origin}/mandrill/api/1.0`], ["Twilio", `${origin}/twilio`], ["Firebase", `${origin}/fcm`], ["Access tokens", `${origin}/fcm/token`]];
    this.root.replaceChildren(h("div", { cls: "start" },
      Object.assign(icon("bell"), {}),
      h("h2", {}, "Nothing has been sent yet"),
      h("p", {}, "Every message that reaches this sandbox appears here at once, as its recipient would see it. Nothing leaves this machine."),
      h("h3", {}, "Point your provider accounts here"),
      h("table", {}, h("tbody", {}, bases.map(([name, url]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, h("code", {}, url)))))),
      h("h3", {}, "Or send a first text message by hand"),
      h("pre", { cls: "code", tabindex: "0" }, command),
      h("div", { cls: "copy-row" }, copy),
      h("p", { cls: "hint" }, "The ports of SMTP and Apple are in sandbox.json, in the folder the sandbox runs in.")));
    this.root.querySelector(".start > svg").classList.add("mark");
  }
}
