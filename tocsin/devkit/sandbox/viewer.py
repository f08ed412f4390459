"""Serves the viewer in the browser: its files, its live feed, and mails as documents of their own."""

import asyncio
import mimetypes
from collections.abc import Callable
from importlib.resources import files

import msgspec

from tocsin.devkit.sandbox.inapp import Inboxes
from tocsin.devkit.sandbox.request_handler import RequestHandler
from tocsin.devkit.sandbox.sent import Entry
from tocsin.devkit.sandbox.wire import Exchange, Reply, Request, Streaming, json_reply

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
BEAT_S = 0.25
SHOWN_A_BEAT = 50
_encode = msgspec.json.Encoder().encode


class Feed:
    """Server-sent events, gathered: however fast messages come, a browser gets four small parts a second."""

    def __init__(self, handler: RequestHandler, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._handler = handler
        self._later = later
        self._writers: list[Callable[[bytes], bool]] = []
        self._new: list[Entry] = []
        self._missed = 0
        self._due = False
        handler.sent.listen(self._on_entry)

    def join(self, writer: Callable[[bytes], bool]) -> None:
        """Add a browser; it is told at once where the feed stands."""
        if writer(_event("hello", self._standing())):
            self._writers.append(writer)

    def _standing(self) -> dict[str, object]:
        sent = self._handler.sent
        return {"seq": sent.seq, "kept": len(sent), "counts": sent.counts()}

    def _on_entry(self, entry: Entry) -> None:
        if not self._writers:
            return
        if len(self._new) >= SHOWN_A_BEAT:
            self._missed += 1
        else:
            self._new.append(entry)
        if not self._due:
            self._due = True
            self._later(BEAT_S, self._beat)

    def _beat(self) -> None:
        self._due = False
        if not self._new and not self._missed:
            return
        messages = [self._handler.summary(entry) for entry in self._new]
        part = {"messages": messages, "missed": self._missed, **self._standing()}
        self._new, self._missed = [], 0
        self._notify(_event("sent", part))

    def cleared(self) -> None:
        """Tell that everything was forgotten, what was about to be shown included."""
        self._new, self._missed = [], 0
        self._notify(_event("cleared", {}))

    def _notify(self, data: bytes) -> None:
        self._writers = [writer for writer in self._writers if writer(data)]


def _event(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(value) + b"\n\n"


class Viewer:
    """Serves the page. Its files are read once, at the start."""

    def __init__(self, handler: RequestHandler, feed: Feed, inboxes: Inboxes) -> None:
        self._handler = handler
        self._feed = feed
        self._inboxes = inboxes
        self._files = dict(_static_files())
        self._asking: set[asyncio.Task[None]] = set()

    def serve(self, request: Request, exchange: Streaming) -> None:
        """Serve one request; what is unknown is 404."""
        if request.method != "GET":
            exchange.answer(_not_found())
        elif request.path == "/live":
            self._feed.join(exchange.stream("text/event-stream"))
        elif request.path == "/inbox":
            task = asyncio.ensure_future(self._answer_inbox(request, exchange))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        else:
            exchange.answer(self._page(request.path))

    async def _answer_inbox(self, request: Request, exchange: Exchange) -> None:
        exchange.answer(await self._inboxes.read(request.parameters().get("user", "")))

    def _page(self, path: str) -> Reply:
        kind, _, rest = path[1:].partition("/")
        if kind in ("sent", "mail") and rest.isdecimal():
            entry = self._handler.sent.get(int(rest))
            if entry is None:
                return _not_found()
            return json_reply(self._handler.full(entry)) if kind == "sent" else _mail(entry)
        return self._files.get(path) or _not_found()


def _mail(entry: Entry) -> Reply:
    """A mail's HTML as a document that can run nothing and fetch nothing."""
    if entry.call.channel != "email" or not entry.call.content:
        return _not_found()
    headers = {"content-security-policy": MAIL_POLICY, "x-content-type-options": "nosniff"}
    return Reply(200, entry.mail().html.encode(), headers, "text/html; charset=utf-8")


def _not_found() -> Reply:
    return json_reply({"error": "not found"}, 404)


def _static_files() -> list[tuple[str, Reply]]:
    headers = {
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }
    found = []
    for file in files("tocsin.devkit.sandbox").joinpath("static").iterdir():
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        path = "/" if file.name == "index.html" else f"/{file.name}"
        found.append((path, Reply(200, file.read_bytes(), headers, f"{kind}; charset=utf-8")))
    return found
