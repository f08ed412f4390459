"""What a report says of one recipient. Pure."""

from typing import NamedTuple


class Failure(NamedTuple):
    """One recipient of a report.

    Attributes:
        recipient: the address as the reporting server used it last.
        original: the address as it was sent to, where the report tells it apart.
        action: `failed`, `delayed`, `delivered`, `relayed` or `expanded` (RFC 3464, 2.3.3).
        status: the enhanced status code that the reporting server writes. Exim and OpenSMTPD write 5.0.0 of
            whatever happened.
        said: what the last server said, or the reporting one, in its words.
    """

    recipient: str = ""
    original: str = ""
    action: str = "failed"
    status: str = ""
    said: str = ""
