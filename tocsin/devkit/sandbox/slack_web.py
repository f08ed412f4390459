"""Stands in for Slack: `chat.postMessage` and `auth.test` of the Web API, and incoming webhooks."""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec

from tocsin.devkit.sandbox.content import Inbox, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import Call
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply

MAX_BLOCKS, MAX_SECTION, MAX_HEADER, MAX_TEXT = 50, 3_000, 150, 40_000
_CONVERSATION = re.compile(r"[CDGU][A-Z0-9]{2,20}")
_HOOK = re.compile(r"/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]+")
_LINK = re.compile(r"<https?://[^<>|]+(\|[^<>]*)?>")
_CONTROL = re.compile(r"[<>]|&(?!amp;|lt;|gt;)")


class _Post(msgspec.Struct):
    text: str = ""
    channel: str = ""
    blocks: list[dict[str, Any]] = []


def refuse(code: str) -> NoReturn:
    """Refuse as the Web API does: with HTTP 200."""
    raise Refusal(json_reply({"ok": False, "error": code}), code)


class Slack:
    """A workspace. Every token `xoxb-…` is its bot's, but those beginning `xoxb-bad`."""

    name = "slack"

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._last_ts = 0

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if request.method == "POST" and _HOOK.fullmatch(request.path):
            post = _read(request)
            _check(post)
            return Accepted([_call(post, "webhook")], Reply(200, b"ok", content_type="text/html"), "")
        if request.method != "POST" or request.path not in ("/chat.postMessage", "/auth.test"):
            refuse("unknown_method")
        _authenticate(request)
        if request.path == "/auth.test":
            answer = {"ok": True, "team": "Skylark", "team_id": "T024BE7LD", "user": "tocsin"}
            return Accepted([], json_reply(answer), "")
        post = _read(request)
        if not _CONVERSATION.fullmatch(post.channel):
            refuse("channel_not_found")
        _check(post)
        ts = self._next_ts()
        return Accepted(
            [_call(post, post.channel)], json_reply({"ok": True, "channel": post.channel, "ts": ts}), ts
        )

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or a conversation with the error ordered."""
        if fault.kind == "status":
            code = fault.code or {429: "ratelimited", 503: "service_unavailable"}.get(
                fault.status, "fatal_error"
            )
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return Refusal(json_reply({"ok": False, "error": code}, fault.status, headers), code)
        if fault.kind in ("dead_token", "bounce", "refused_number"):
            code = fault.code or "channel_not_found"
            return Refusal(json_reply({"ok": False, "error": code}), code)
        return None

    def _next_ts(self) -> str:
        """Make the time of a message, which is its id: no two are equal."""
        self._last_ts = max(self._clock_ms() * 1_000, self._last_ts + 1)
        seconds, rest = divmod(self._last_ts, 1_000_000)
        return f"{seconds}.{rest:06d}"


def _authenticate(request: Request) -> None:
    scheme, _, token = request.header(b"authorization").partition(" ")
    if scheme != "Bearer" or not token:
        refuse("not_authed")
    if not token.startswith("xoxb-") or token.startswith("xoxb-bad"):
        refuse("invalid_auth")


def _read(request: Request) -> _Post:
    if not request.header(b"content-type").startswith("application/json"):
        refuse("invalid_form_data")
    try:
        return msgspec.json.decode(request.body, type=_Post)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refuse("invalid_arguments")


def _check(post: _Post) -> None:
    if not post.text and not post.blocks:
        refuse("no_text")
    if len(post.text) > MAX_TEXT:
        refuse("msg_too_long")
    if len(post.blocks) > MAX_BLOCKS or not all(map(_is_block, post.blocks)):
        refuse("invalid_blocks")
    if _CONTROL.search(_LINK.sub("", post.text)):
        refuse("invalid_blocks")  # Slack would take it for a command; who sends a text means none


def _is_block(block: dict[str, Any]) -> bool:
    text = block.get("text")
    if not isinstance(text, dict) or not isinstance(shown := text.get("text"), str) or not shown:
        return False
    if block.get("type") == "header":
        return text.get("type") == "plain_text" and len(shown) <= MAX_HEADER
    is_section = block.get("type") == "section" and text.get("type") in ("mrkdwn", "plain_text")
    return is_section and len(shown) <= MAX_SECTION and not _CONTROL.search(_LINK.sub("", shown))


def _call(post: _Post, recipient: str) -> Call:
    texts = [(block["type"], block["text"]["text"]) for block in post.blocks]
    title = next((text for kind, text in texts if kind == "header"), "")
    links = [text[1:-1] for _, text in texts if _LINK.fullmatch(text)]
    body = "\n".join(text for kind, text in texts if kind == "section" and not _LINK.fullmatch(text))
    body = _plain(body or post.text)
    content = Inbox(title, body, links[0] if links else "")
    return Call(
        provider="slack",
        channel="slack",
        recipient=recipient,
        title=title,
        text=preview(body),
        content=encode(content),
    )


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
