"""Previews as people and programs read them: what is seen by label, and one JSON object."""

from typing import Any, Final

import msgspec

from tocsin.model.content import EmailContent
from tocsin.render.preview import Preview

_FIRST: Final = ("subject", "title", "text", "body")
_LONGEST: Final = 60
_INNER: Final = frozenset({"data", "ttl_s", "collapse_key", "segments", "encoding"})
"""Fields of contents that no recipient sees."""


def headline(preview: Preview) -> str:
    """Return what a recipient reads first, on one line; empty if there is nothing."""
    content = preview.content
    fields = msgspec.structs.asdict(content) if content is not None else {}
    line = " ".join(str(next((fields[name] for name in _FIRST if fields.get(name)), "")).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def shown(preview: Preview) -> dict[str, Any]:
    """Give a preview as one JSON object.

    `seen` has what the recipient sees by label, `content` what the provider adapter is handed.
    """
    found: dict[str, Any] = msgspec.to_builtins(preview)
    return {
        **found,
        "faulty": preview.is_faulty,
        "notes": preview.notes,
        "headline": headline(preview),
        "kind": _kind(preview),
        "seen": _seen(preview),
    }


def _kind(preview: Preview) -> str:
    """Name the kind of content: `email`, `sms`, `push`, `chat` and so on; empty without one."""
    return "" if preview.content is None else type(preview.content).__name__.removesuffix("Content").lower()


def _seen(preview: Preview) -> dict[str, str]:
    content = preview.content
    if content is None:
        return {}
    fields = {
        name: value for name, value in msgspec.structs.asdict(content).items() if value and name not in _INNER
    }
    if isinstance(content, EmailContent):
        sender = f"{content.sender_name} <{content.sender}>" if content.sender_name else content.sender
        fields = {"from": sender, "subject": content.subject, "text": content.text, "html": content.html}
        fields |= content.headers
    return {name: value if isinstance(value, str) else str(value).lower() for name, value in fields.items()}
