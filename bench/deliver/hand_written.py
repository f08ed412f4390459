"""What somebody writes who only wants to send: read a message, run its templates, make the request's body.

Both peers use it. Nothing is claimed, counted, ordered, tried again or recorded, and no outcome is written.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import css_inline
import jinja2

from tocsin.render.formats import FILTERS

PARTS = {"sms": ("sms",), "push": ("title", "body", "url"), "email": ("subject", "text", "html")}
BRAND = {
    "name": "Skylark",
    "color": "#1f4fd8",
    "address": "Skylark Air Alerts, 1 Lark Lane, Jamaica, NY 11430, USA",
    "url": "https://skylark.example",
}


class Templates:
    """The templates of the catalog, in an environment without a sandbox."""

    def __init__(self, folder: Path) -> None:
        loader = jinja2.FunctionLoader(lambda name: _source(folder, name))
        self._environment = jinja2.Environment(
            loader=loader, autoescape=_is_html, trim_blocks=True, lstrip_blocks=True, auto_reload=False
        )
        self._environment.filters.update(FILTERS)
        self._folder = folder

    def render(self, message: Mapping[str, Any]) -> dict[str, str]:
        """Run each part of a message."""
        language = message["locale"].partition("-")[0]
        context = {
            "data": message["data"],
            "brand": BRAND,
            "user": {"id": message["user"]},
            "locale": language,
            "timezone": message["timezone"],
            "category": message["category"],
            "notification": message["notification"],
            "required": False,
            "unsubscribe_url": f"https://skylark.example/unsubscribe/{message['user']}",
        }
        return {part: self._run(message, language, part, context) for part in PARTS[message["channel"]]}

    def _run(self, message: Mapping[str, Any], language: str, part: str, context: dict[str, Any]) -> str:
        names = [f"{message['template']}/{language}/{part}", f"{message['template']}/{part}"]
        return self._environment.select_template(names).render(context)


def _source(folder: Path, name: str) -> str | None:
    path = folder / f"{name}.j2"
    return path.read_text() if path.exists() else None


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith("/html")


def form_of(message: Mapping[str, Any], parts: Mapping[str, str]) -> dict[str, str]:
    """Make Twilio's form."""
    return {"To": message["target"]["address"], "From": "+15005550006", "Body": parts["sms"].strip()}


def push_of(message: Mapping[str, Any], parts: Mapping[str, str]) -> bytes:
    """Make FCM's body."""
    shown = {"title": parts["title"].strip(), "body": parts["body"].strip()}
    data = {"url": parts["url"].strip(), "message_id": message["message_id"]}
    target = {"token": message["target"]["address"], "notification": shown, "data": data}
    return json.dumps({"message": target}).encode()


def mail_of(message: Mapping[str, Any], parts: Mapping[str, str]) -> bytes:
    """Make SendGrid's body, with the rules of `<style>` inlined as mail clients need them."""
    link = f"https://skylark.example/unsubscribe/{message['user']}"
    html = css_inline.inline(parts["html"]) if "<style" in parts["html"] else parts["html"]
    document = {
        "personalizations": [{"to": [{"email": message["target"]["address"]}]}],
        "from": {"email": "flights@skylark.example", "name": "Skylark"},
        "subject": parts["subject"].strip(),
        "content": [{"type": "text/plain", "value": parts["text"]}, {"type": "text/html", "value": html}],
        "headers": {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    }
    return json.dumps(document).encode()


BODIES: dict[str, Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, str] | bytes]] = {
    "sms": form_of,
    "push": push_of,
    "email": mail_of,
}
