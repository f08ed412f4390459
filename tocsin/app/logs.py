"""Sets up the log of a process."""

import logging
import re
from typing import Final

_REPEATED_S: Final = 60.0
_MOST: Final = 1_000
"""Texts remembered; many more would be texts that do not repeat."""
_SINCE: Final = re.compile(r"after \d+ms")


class RepeatsOnceAMinute(logging.Filter):
    """Lets a text pass once a minute, and counts the others.

    While a broker is down, librdkafka logs each try to connect: 20 lines a second and process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is written; one that others were left out before says how many."""
        text = record.getMessage()
        key = (record.name, _SINCE.sub("", text))
        shown_s, left_out = self._shown.get(key, (0.0, 0))
        if 0 <= record.created - shown_s < _REPEATED_S:
            self._shown[key] = (shown_s, left_out + 1)
            return False
        if len(self._shown) >= _MOST:
            self._shown.clear()
        self._shown[key] = (record.created, 0)
        if left_out:
            record.msg, record.args = f"{text} ({left_out:,} more of these were left out)", None
        return True


def configure(process: str = "") -> None:
    """Write warnings to stderr, each with its time and the name of the process, and repeats once a minute."""
    named = f"{process} " if process else ""
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {named}%(name)s: %(message)s")
    kafka = logging.getLogger("tocsin.kafka")
    if not any(isinstance(one, RepeatsOnceAMinute) for one in kafka.filters):
        kafka.addFilter(RepeatsOnceAMinute())
