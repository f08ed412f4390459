"""Marks profiles that the gateway writes, so that readers of the topic can tell them from their owner's."""

from typing import Final

from tocsin.model.raw import RawRecord

REVISION_HEADER: Final = "tocsin-revision"
"""On a profile that the gateway has written: how many changes of this user its view had seen, in digits."""
_DIGITS: Final = 18


def revision_header(revision: int) -> tuple[str, bytes]:
    """Return the header of a profile that the gateway writes."""
    return (REVISION_HEADER, str(revision).encode())


def revision_of(raw: RawRecord) -> int:
    """Return the revision of a profile that the gateway wrote; 0 for one of any other producer."""
    found = [value for name, value in raw.headers if name == REVISION_HEADER] if raw.headers else []
    return int(found[0]) if found and found[0].isdigit() and len(found[0]) <= _DIGITS else 0
