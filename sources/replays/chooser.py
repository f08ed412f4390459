"""Chooses the records to replay. Pure: the same records and index give the same answers."""

from sources.replays.facts import Facts
from sources.replays.outcomes import Index
from sources.replays.selection import Selection
from tocsin.model import topics


class Chooser:
    """Tells which records are selected, and why others are left out. Each first record is taken once.

    Args:
        selection: what is asked for.
        index: what the outcomes say; None if they are not read.
        forgotten_ms: what was sent before this time the send ledger may have forgotten.
    """

    def __init__(self, selection: Selection, index: Index | None, forgotten_ms: int = 0) -> None:
        self._asked = selection
        self._index = index
        self._forgotten_ms = forgotten_ms
        self._tenants = frozenset(selection.tenants)
        self._users = frozenset(selection.users)
        self._channels = frozenset(selection.channels)
        self._notifications = frozenset(selection.notifications)
        self._reasons = frozenset(selection.reasons)
        self._stages = frozenset(selection.stages)
        self._ids = frozenset(selection.ids)
        self._taken: set[str] = set()
        self.matched: set[str] = set()

    def is_asked(self, facts: Facts) -> bool:
        """Return whether the filters ask for a record."""
        asked = self._asked
        if facts.at_ms < asked.since_ms or 0 < asked.until_ms <= facts.at_ms:
            return False
        if asked.what == "dead" and not self._is_letter(facts):
            return False
        if asked.what != "events" and self._channels and facts.channel not in self._channels:
            return False
        if self._needs_outcome(facts) and not (self._index and self._index.is_asked(facts)):
            return False
        if (self._tenants or self._users) and not self._is_owner(*facts.owner):
            return False
        if self._notifications and facts.message and facts.notification not in self._notifications:
            return False
        return not self._ids or self._is_named(facts)

    def _needs_outcome(self, facts: Facts) -> bool:
        """Return whether only outcomes can tell. A message knows its notification, however old it is."""
        asked = self._asked
        if asked.what == "dead" and facts.channel and not (asked.providers or asked.statuses):
            return False
        return asked.by_outcome

    def _is_letter(self, facts: Facts) -> bool:
        letter = facts.letter
        assert letter is not None, "only dead letters are read"
        if self._stages and letter.stage not in self._stages:
            return False
        return not self._reasons or letter.reason in self._reasons

    def _is_owner(self, tenant: str, user: str) -> bool:
        return (not self._tenants or tenant in self._tenants) and (not self._users or user in self._users)

    def _is_named(self, facts: Facts) -> bool:
        names = facts.ids
        if self._index is not None:
            names |= self._index.ids_of(facts)
        found = names & self._ids
        self.matched |= found
        return bool(found)

    def left_out(self, facts: Facts) -> str:
        """Say why a record that is asked for is not replayed; empty if it is."""
        name = facts.first_message or str(facts.root)
        if name in self._taken:
            return "copies: their first record is replayed already"
        self._taken.add(name)
        if facts.own:
            return "parts of a broadcast or fan-out: replay the event that began it"
        event = facts.event
        if self._asked.what == "events" and event is not None and (event.topic or event.broadcast):
            return "for a topic or a segment: write them anew, with a new id"
        if (
            topics.is_declared(facts.raw.topic)
            and facts.letter is not None
            and facts.letter.stage == "decode"
        ):
            return "of a declared topic: its owner must write them again"
        if self._asked.force:
            return ""
        if self._index is None:
            return self._too_old(facts)
        return self._index.objection(facts)

    def _too_old(self, facts: Facts) -> str:
        """Leave out what neither outcomes nor the ledger can tell of; a dead letter was not sent."""
        if self._asked.what == "dead" or facts.at_ms >= self._forgotten_ms:
            return ""
        return "older than the send ledger remembers (TOCSIN_LEDGER_TTL_S): leave --no-outcomes away"
