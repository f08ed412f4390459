/** What the list shows: the filters, the messages loaded so far, and the live feed that adds to them. */

const PAGE = 200;

export class Store extends EventTarget {
  constructor() {
    super();
    this.filters = { user: "", channel: "", status: "any", provider: "" };
    this.items = [];
    this.complete = false;
    this.counts = [];
    this.kept = 0;
    this.held = 0;
    this.coming = 0;
    this.atTop = () => true;
    this.seq = -1;
    this.ticket = 0;
    this.loading = null;
    this.heard = null;
  }

  tell(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  get filtered() {
    const { user, channel, status, provider } = this.filters;
    return Boolean(user || channel || provider || status !== "any");
  }

  set(changes) {
    Object.assign(this.filters, changes);
    this.tell("filters");
    return this.reload();
  }

  async page(before) {
    const query = new URLSearchParams({ limit: PAGE, ...Object.fromEntries(Object.entries(this.filters).filter(([, value]) => value)) });
    if (before) query.set("before", before);
    const answer = await fetch(`/sent?${query}`);
    if (!answer.ok) throw new Error(`the sandbox answered ${answer.status}`);
    return answer.json();
  }

  async reload() {
    const ticket = ++this.ticket;
    this.heard = { messages: [], missed: 0 };
    this.loading = this.page(0);
    const page = await this.loading.catch(() => null).finally(() => { this.loading = null; });
    if (ticket !== this.ticket) return;
    const { heard } = this;
    this.heard = null;
    if (page === null) return;
    const newest = page.messages[0]?.seq ?? 0;
    this.items = [...heard.messages.filter(({ seq }) => seq > newest), ...page.messages];
    this.complete = page.before === null;
    this.kept = heard.kept ?? page.kept;
    this.held = 0;
    this.coming = 0;
    this.tell("reloaded");
    if (heard.missed) this.soonReload(heard.missed);
  }

  /** Note a part of the feed that comes while the list is fetched: the answer may be older. */
  hear(part, fresh) {
    if (!this.heard) return;
    this.heard.messages.unshift(...fresh);
    this.heard.missed += part.missed;
    this.heard.kept = part.kept;
  }

  /** Reload, at most once a second; a reader who has gone down the list meanwhile is told instead. */
  soonReload(count) {
    this.coming += count;
    this.due ??= setTimeout(() => {
      this.due = null;
      if (this.atTop()) return void this.reload();
      this.held += this.coming;
      this.coming = 0;
      this.tell("held");
    }, 1000);
  }

  async more() {
    if (this.complete || this.loading || !this.items.length) return;
    const ticket = this.ticket;
    this.loading = this.page(this.items.at(-1).seq);
    const page = await this.loading.catch(() => null).finally(() => { this.loading = null; });
    if (ticket !== this.ticket || page === null) return;
    this.items.push(...page.messages);
    this.complete = page.before === null;
    this.tell("grown");
  }

  takes(message) {
    const { user, channel, status, provider } = this.filters;
    return (!user || message.user === user) && (!channel || message.channel === channel)
      && (!provider || message.provider === provider) && (status === "any" || message.status === status);
  }

  /** Take a part of the feed. What came too fast to be sent along is fetched, as soon as the reader is at the top. */
  take(part) {
    this.counts = part.counts;
    this.kept = part.kept;
    this.seq = part.seq;
    const newest = this.items[0]?.seq ?? 0;
    const fresh = part.messages.filter((message) => message.seq > newest && this.takes(message)).reverse();
    this.hear(part, fresh);
    this.tell("counts", { seq: part.seq });
    if (part.missed && this.atTop()) return void this.soonReload(fresh.length + part.missed);
    if (part.missed || (this.held && fresh.length)) this.held += fresh.length + part.missed;
    else if (this.held) return;
    else if (fresh.length) this.items.unshift(...fresh);
    if (this.held) this.tell("held");
    else if (fresh.length) this.tell("added", { count: fresh.length });
  }

  /** Follow the feed while the page is in sight: a browser has six connections for all tabs of an address. */
  followInSight() {
    let feed = document.hidden ? null : this.follow();
    const stop = () => { feed?.close(); feed = null; };
    const resume = () => { feed ??= this.follow(); };
    document.addEventListener("visibilitychange", () => (document.hidden ? stop() : resume()));
    window.addEventListener("pagehide", stop);
    window.addEventListener("pageshow", resume);
  }

  follow() {
    const feed = new EventSource("/live");
    feed.addEventListener("hello", (event) => {
      const part = JSON.parse(event.data);
      this.counts = part.counts;
      this.kept = part.kept;
      this.tell("live", { on: true });
      this.tell("counts", { seq: part.seq });
      if (part.seq !== this.seq) this.reload();
      this.seq = part.seq;
    });
    feed.addEventListener("sent", (event) => this.take(JSON.parse(event.data)));
    feed.addEventListener("cleared", () => this.reload().then(() => this.tell("cleared")));
    feed.addEventListener("error", () => this.tell("live", { on: false }));
    return feed;
  }
}

/** Get what is at a path: null if it is not there, undefined if the sandbox does not answer. */
export async function getJson(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch {
    return undefined;
  }
}
