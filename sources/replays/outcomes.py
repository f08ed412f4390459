"""What the outcomes say of records that may be replayed: how they ended, and whether they were sent.

It holds some 250 bytes for each event or message of the time that is asked for.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from sources.replays.facts import Facts
from sources.replays.selection import Selection
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import FINAL, Status

_ASKED, _SENT, _UNSENT, _FORGOTTEN, _RESENT, _KNOWN = 1, 2, 4, 8, 16, 32
_REACHED: Final = frozenset({Status.SENT, Status.MERGED, Status.FINISHED})


class _Row(msgspec.Struct, gc=False):
    """What is read of an outcome."""

    status: str
    tenant: str = ""
    user: str = ""
    notification_id: str = ""
    message_id: str = ""
    origin: str = ""
    notification: str = ""
    channel: str = "*"
    reason: str = ""
    provider: str = ""
    at_ms: int = 0
    replay_of: str = ""


_decode = msgspec.json.Decoder(_Row).decode


class Index:
    """Collects outcomes, by the origin of events and the id of messages.

    Args:
        selection: what is asked for.
        forgotten_ms: what was sent before this time the send ledger may have forgotten.
    """

    def __init__(self, selection: Selection, forgotten_ms: int = 0) -> None:
        self._asked = selection
        self._forgotten_ms = forgotten_ms
        self._flags: dict[str, int] = {}
        self._names: dict[str, set[str]] = {}
        self._ids = frozenset(selection.ids)
        self._fields = [
            (frozenset(wanted), name)
            for name, wanted in (
                ("status", selection.statuses),
                ("reason", selection.reasons if selection.what != "dead" else ()),
                ("notification", selection.notifications if selection.what != "messages" else ()),
                ("channel", selection.channels if selection.what == "events" else ()),
                ("provider", selection.providers),
            )
            if wanted
        ]

    def add(self, records: Iterable[RawRecord]) -> None:
        """Enter outcomes; what cannot be decoded is passed over."""
        for record in records:
            try:
                row = _decode(record.value or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            self._enter(row)

    def _enter(self, row: _Row) -> None:
        if row.replay_of and row.status in _REACHED:
            self._flags[row.replay_of] = self._flags.get(row.replay_of, 0) | _RESENT
        flags = self._flags_of(row)
        if self._asked.what == "dead" and not flags & _ASKED:
            return
        names = (row.origin,) if self._asked.what == "events" else (row.message_id, row.origin)
        for name in names:
            if name:
                self._flags[name] = self._flags.get(name, 0) | flags
        if row.notification_id in self._ids:
            self._names.setdefault(row.origin, set()).add(row.notification_id)
        if row.message_id in self._ids:
            self._names.setdefault(row.origin, set()).add(row.message_id)

    def _flags_of(self, row: _Row) -> int:
        flags = _KNOWN
        if row.status in FINAL:
            flags |= _SENT if row.status in _REACHED else _UNSENT
            if row.status in _REACHED and row.at_ms < self._forgotten_ms:
                flags |= _FORGOTTEN
        if all(getattr(row, name) in wanted for wanted, name in self._fields):
            flags |= _ASKED
        return flags

    def is_asked(self, facts: Facts) -> bool:
        """Return whether an outcome of a record is one of those that are asked for."""
        return bool(self._of(facts) & _ASKED)

    def ids_of(self, facts: Facts) -> set[str]:
        """Return those ids of the list that outcomes of an event have."""
        return self._names.get(facts.origin, set())

    def _of(self, facts: Facts) -> int:
        if facts.message is not None:
            return self._flags.get(facts.message.message_id, 0)
        return self._flags.get(facts.origin, 0)

    def objection(self, facts: Facts) -> str:
        """Say why the policy `again` leaves a record out; empty if it does not."""
        flags = self._of(facts)
        first = self._flags.get(facts.first_message or str(facts.root), 0)
        flags |= first & _RESENT if facts.message is not None else first
        if flags & _RESENT:
            return "sent by an earlier replay"
        if self._asked.what == "dead":
            return ""
        if flags & _SENT and not flags & _UNSENT:
            return "sent"
        if flags & _SENT and flags & _FORGOTTEN:
            return "sent in part, which the send ledger may have forgotten: replay the messages that failed"
        if flags & _KNOWN and not flags & (_SENT | _UNSENT):
            return "held or on their way"
        return ""
