// Talks to the gateway: lists, marks, and live changes over WebSocket, else over server-sent events.

const SILENCE_MS = 60_000;
const PAUSES_MS = [500, 1_000, 2_000, 5_000, 10_000, 30_000];
const POLL_MS = 60_000;
const TOKEN_OVER = 4401;
const SOCKET_TRIES = 3;

export class InboxClient {
  #options;
  #token = "";
  #asked = null;
  #last = "";
  #isClosed = false;
  #isFollowing = false;
  #failures = 0;
  #wake = null;
  #stop = null;

  constructor(options) {
    this.#options = options;
    addEventListener("online", this.#hurry);
    document.addEventListener("visibilitychange", this.#hurry);
  }

  close() {
    this.#isClosed = true;
    removeEventListener("online", this.#hurry);
    document.removeEventListener("visibilitychange", this.#hurry);
    this.#stop?.();
    this.#wake?.();
  }

  list({ state, limit, cursor }) {
    const query = new URLSearchParams({ state, limit: String(limit) });
    if (cursor) query.set("cursor", cursor);
    return this.#request(`/v1/inbox?${query}`);
  }

  act(action, marks) {
    // A followed link leaves the page: the report must go out all the same.
    return this.#request(`/v1/inbox/${action}`, { method: "POST", body: JSON.stringify(marks), keepalive: true });
  }

  /** Follow the changes after the one with this id. */
  follow(last) {
    this.#last = last;
    if (!this.#isFollowing) this.#run();
  }

  async #currentToken() {
    if (this.#token) return this.#token;
    this.#asked ??= Promise.resolve(this.#options.token()).finally(() => (this.#asked = null));
    this.#token = (await this.#asked) ?? "";
    if (!this.#token) throw new Error("no token");
    return this.#token;
  }

  async #request(path, options = {}, isRepeat = false) {
    const token = await this.#currentToken();
    const headers = { authorization: `Bearer ${token}` };
    if (options.body) headers["content-type"] = "application/json";
    const answer = await fetch(this.#options.base + path, { ...options, headers, credentials: "omit" });
    if (answer.status === 401 && !isRepeat) {
      if (this.#token === token) this.#token = "";
      return this.#request(path, options, true);
    }
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async #run() {
    this.#isFollowing = true;
    while (!this.#isClosed) {
      const pause = await this.#once().catch(() => 0);
      this.#options.onLive(false);
      if (this.#isClosed) break;
      this.#failures += 1;
      const step = PAUSES_MS[Math.min(this.#failures - 1, PAUSES_MS.length - 1)];
      await this.#sleep(pause || step * (0.5 + Math.random() / 2));
      if (pause && !this.#isClosed) this.#options.onReload();
    }
    this.#isFollowing = false;
  }

  #once() {
    return this.#failures % (SOCKET_TRIES + 1) < SOCKET_TRIES ? this.#socket() : this.#stream();
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hurry = () => {
    if (document.visibilityState === "visible") this.#wake?.();
  };

  #take(text) {
    const change = JSON.parse(text);
    if (change.id) this.#last = change.id;
    this.#failures = 0;
    this.#options.onLive(true);
    if (change.kind !== "beat") this.#options.onChange(change);
  }

  async #socket() {
    const token = await this.#currentToken();
    const address = `${this.#options.base.replace(/^http/, "ws")}/v1/inbox/live?last_event_id=${encodeURIComponent(this.#last)}`;
    return new Promise((resolve) => {
      const socket = new WebSocket(address, ["tocsin.inbox.v1", `token.${token}`]);
      const end = () => {
        clearTimeout(timer);
        socket.onclose = socket.onmessage = socket.onerror = null;
        socket.close();
        resolve(0);
      };
      let timer = setTimeout(end, SILENCE_MS);
      this.#stop = end;
      socket.onmessage = ({ data }) => {
        clearTimeout(timer);
        timer = setTimeout(end, SILENCE_MS);
        this.#take(data);
      };
      socket.onclose = ({ code }) => {
        if (code === TOKEN_OVER) this.#token = "";
        end();
      };
    });
  }

  async #stream() {
    const aborter = new AbortController();
    this.#stop = () => aborter.abort();
    const headers = { authorization: `Bearer ${await this.#currentToken()}`, "last-event-id": this.#last };
    const answer = await fetch(`${this.#options.base}/v1/inbox/stream`, { headers, credentials: "omit", signal: aborter.signal });
    if (answer.status === 401) this.#token = "";
    // Too many tabs: this one looks from time to time.
    if (answer.status === 429) return POLL_MS;
    if (!answer.ok) return 0;
    let timer = setTimeout(this.#stop, SILENCE_MS);
    let rest = "";
    for await (const part of chunks(answer.body)) {
      clearTimeout(timer);
      timer = setTimeout(this.#stop, SILENCE_MS);
      const events = (rest + part).split("\n\n");
      rest = events.pop();
      events.forEach((event) => this.#event(event));
    }
    clearTimeout(timer);
    return 0;
  }

  #event(text) {
    const lines = Object.fromEntries(text.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]));
    if (lines.event === "end") {
      if (JSON.parse(lines.data).code === TOKEN_OVER) this.#token = "";
    } else if (lines.data) {
      this.#take(lines.data);
    }
  }
}

async function* chunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
