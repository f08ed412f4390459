"""Messages and contents to send, and words that must never come back in an error."""

from typing import Any

import msgspec

from tocsin.formats.marks import Marks
from tocsin.model.content import (
    Content,
    EmailContent,
    InAppContent,
    Outgoing,
    PushContent,
    SmsContent,
    VoiceContent,
    WhatsAppContent,
)
from tocsin.model.event import Origin
from tocsin.model.ids import digest
from tocsin.model.message import Message, Target

MARKS = Marks(b"the secret of these tests")
NOW_S = 1_700_000_000.0
EMAIL = "ada.lovelace@example.com"
PHONE = "+14155552671"
ANDROID = "fXq9Zk3:APA91bE-" + "x7Yq" * 30
IOS = "ab12" * 16
SECRETS = (EMAIL, "ada.lovelace", PHONE, PHONE[1:], ANDROID, IOS, "Gate B12 moved", "wherefore art thou")

ADDRESSES = {
    "webpush": "https://fcm.googleapis.com/wp/x",
    "webhook": "https://hooks.example/x",
    "slack": "U024BE7LH",
    "telegram": "123456789",
    "email": EMAIL,
    "sms": PHONE,
    "push": ANDROID,
    "inapp": "u-1",
    "whatsapp": PHONE,
    "voice": PHONE,
}
CONTENTS: dict[str, Content] = {
    "email": EmailContent(
        subject="Gate B12 moved",
        text="wherefore art thou\n",
        html="<p>wherefore art thou</p>\n",
        sender="flights@example.com",
        sender_name="Tocsin Flights",
    ),
    "sms": SmsContent("Gate B12 moved: wherefore art thou", 1, "GSM-7", "+15005550006"),
    "push": PushContent(title="Gate B12 moved", body="wherefore art thou", data={"flight": "UA 1"}),
    "inapp": InAppContent(title="Gate B12 moved", body="wherefore art thou", url="https://example.com/f"),
    "whatsapp": WhatsAppContent("Gate B12 moved: wherefore art thou", "+15005550006"),
    "voice": VoiceContent("Gate B12 moved: wherefore art thou", "en", "+15005550006"),
}


def message(channel: str, **fields: Any) -> Message:
    """Build a message of a channel; `fields` override."""
    platform = {"push": "android"}.get(channel, "")
    defaults: dict[str, Any] = {
        "message_id": digest("sample", channel),
        "notification_id": digest("sample"),
        "tenant": "acme",
        "user": "u-1",
        "channel": channel,
        "target": Target(ADDRESSES[channel], platform=platform),
        "notification": "gate_moved",
        "category": "travel",
        "template": "gate_moved",
        "data": msgspec.Raw(b"{}"),
        "locale": "en",
        "event_id": "e-1",
        "event_source": "/ops",
        "event_type": "gate.moved",
        "event_time_ms": int(NOW_S * 1000),
        "received_ms": int(NOW_S * 1000),
        "decided_ms": int(NOW_S * 1000),
        "origin": Origin("events", 3, 42),
    }
    return Message(**(defaults | fields))


def outgoing(channel: str, content: Content | None = None, **fields: Any) -> Outgoing:
    """Build what an adapter is handed."""
    return Outgoing(message(channel, **fields), content or CONTENTS[channel], MARKS.of)


def personal_mail(content: EmailContent, name: str, **changes: Any) -> Outgoing:
    """Build the mail of one recipient of a batch, whose texts greet him by name; `changes` override."""
    texts = {"subject": f"Hi {name}", "text": f"Hi {name}!\nGate B12\n", "html": f"<p>Hi {name}</p>\n"}
    own = msgspec.structs.replace(content, **(texts | changes))
    return outgoing("email", own, target=Target(f"{name}@example.com"), message_id=f"{name:0>32}")


def ios(**target: Any) -> Outgoing:
    """Build a push to an iPhone."""
    fields: dict[str, Any] = {"address": IOS, "platform": "ios", "app": "com.example.flights"} | target
    return outgoing("push", target=Target(**fields))


def leaks(text: str) -> list[str]:
    """Find what must not be in a text that leaves an adapter."""
    return [secret for secret in SECRETS if secret in text]


class SteppingClock:
    """Seconds since 1970 that only the test moves."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
