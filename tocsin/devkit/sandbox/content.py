"""Describes messages as their recipients see them, one form per channel. The viewer draws them."""

import msgspec

_encode = msgspec.json.Encoder().encode
PREVIEW = 160


class Attached(msgspec.Struct, frozen=True, gc=False):
    """An attachment of a mail, without its content; `cid` names an image that the HTML shows."""

    name: str
    type: str
    size: int
    cid: str = ""


class Mail(msgspec.Struct, frozen=True, gc=False):
    """A mail; `headers` as sent, in their order."""

    subject: str
    sender: str
    sender_name: str
    to: str
    text: str
    html: str
    headers: list[tuple[str, str]]
    attachments: list[Attached] = []


class Text(msgspec.Struct, frozen=True, gc=False):
    """A text message as it is billed, or a WhatsApp message; `template` names an approved one."""

    body: str
    sender: str
    encoding: str
    segments: int
    units: int
    media: list[str] = []
    template: str = ""
    variables: dict[str, str] = {}


class Speech(msgspec.Struct, frozen=True, gc=False):
    """A phone call: what is read to whoever takes it."""

    text: str
    sender: str
    language: str
    voice: str = ""
    times: int = 1
    ring_s: int = 60


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


def encode(content: Mail | Text | Speech | Push | Inbox) -> bytes:
    """Encode for the store."""
    return _encode(content)


def preview(text: str) -> str:
    """Shorten to what a list shows, on one line."""
    return " ".join(text[: PREVIEW * 2].split())[:PREVIEW]
