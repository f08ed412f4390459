"""Messages whose mail comes back, reports of them, and a reader that keeps what it would write."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.providers.samples import MARKS, message
from tocsin.bounces.reader import BounceReader
from tocsin.bounces.returned import Keys, Returned, understand
from tocsin.formats.marks import Marked
from tocsin.formats.return_paths import ReturnPaths
from tocsin.model.message import Message, Target
from tocsin.model.outcome import ReceiptEvent

SECRET = b"the secret of these tests"
PATHS = ReturnPaths(SECRET)
KEYS = Keys(PATHS, MARKS, days=10_000)
"""The reports of real servers are of 2026, and their messages of 2023."""
REPORTS = Path(__file__).parent / "reports"
SENT = message("email")
NOW_MS = SENT.decided_ms + 3_600_000
ADDRESS = SENT.target.address


def path_of(sent: Message = SENT) -> str:
    """Give the return path of a message."""
    return f"bounce-{PATHS.token(sent.message_id, sent.decided_ms)}@bounces.example.com"


def sent_to(address: str) -> Message:
    """Give a message to an address."""
    return message("email", target=Target(address))


def dsn(
    *fields: str,
    text: str = "It did not work.",
    original: str = "",
    subject: str = "Undelivered Mail Returned to Sender",
    to: str = "",
    more: str = "",
) -> bytes:
    """Write a delivery status notification; each of `fields` is the group of one recipient."""
    groups = "\n\n".join(("Reporting-MTA: dns; mx.example.net", *fields))
    returned = original or f"X-Tocsin-Mark: {MARKS.of(SENT)}\nSubject: Gate B12 moved"
    return f"""\
From: MAILER-DAEMON@mx.example.net
To: {to or path_of()}
Subject: {subject}
Date: Tue, 14 Nov 2023 22:20:00 +0000
{more}MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

{text}

--b1
Content-Type: message/delivery-status

{groups}

--b1
Content-Type: text/rfc822-headers

{returned}

--b1--
""".encode()


def failed(said: str, status: str = "5.0.0", recipient: str = ADDRESS, more: str = "") -> str:
    """Write the group of a recipient that failed."""
    return (
        f"Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {said}{more}"
    )


def understood(raw: bytes, keys: Keys = KEYS, received_ms: int = NOW_MS) -> Returned:
    """Say what a mail means."""
    return understand(raw, keys, received_ms)


class Kept:
    """A place that keeps receipts, or refuses them while `away` is set."""

    def __init__(self) -> None:
        self.receipts: list[ReceiptEvent] = []
        self.known: dict[str, Marked] = {}
        self.away: Exception | None = None

    def write(self, receipts: Sequence[ReceiptEvent]) -> None:
        """Keep receipts."""
        if self.away:
            raise self.away
        self.receipts += receipts

    def find(self, ids: Sequence[str]) -> Mapping[str, Marked]:
        """Find the messages that the test has made known."""
        return {each: self.known[each] for each in ids if each in self.known}

    def reader(self) -> BounceReader:
        """Make a reader that writes here."""
        return BounceReader(KEYS, self.find, self.write)
