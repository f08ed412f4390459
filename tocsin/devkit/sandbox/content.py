"""Describes messages as their recipients see them, one form per channel. The viewer draws them."""

import msgspec

_encode = msgspec.json.Encoder().encode
PREVIEW = 160


class Mail(msgspec.Struct, frozen=True, gc=False):
    """A mail; `headers` as sent, in their order."""

    subject: str
    sender: str
    sender_name: str
    to: str
    text: str
    html: str
    headers: list[tuple[str, str]]


class Text(msgspec.Struct, frozen=True, gc=False):
    """A text message as it is billed."""

    body: str
    sender: str
    encoding: str
    segments: int
    units: int
    media: list[str] = []


class Push(msgspec.Struct, frozen=True, gc=False):
    """A push notification as the phone shows it; `payload` is all that was sent to the device."""

    platform: str
    title: str
    body: str
    app: str = ""
    subtitle: str = ""
    image: str = ""
    collapse_key: str = ""
    urgent: bool = False
    badge: int | None = None
    silent: bool = False
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class Inbox(msgspec.Struct, frozen=True, gc=False):
    """An entry of the in-app inbox."""

    title: str
    body: str
    url: str = ""


def encode(content: Mail | Text | Push | Inbox) -> bytes:
    """Encode for the store."""
    return _encode(content)


def preview(text: str) -> str:
    """Shorten to what a list shows, on one line."""
    return " ".join(text[: PREVIEW * 2].split())[:PREVIEW]
