"""The lists of broadcasts in one key group: keeps their users in rows beside a timer, and hands them out."""

from tocsin.decision.broadcast_lists import (
    KEPT_MS,
    TIMER,
    UserList,
    as_record,
    decode_row,
    encode_row,
    list_key,
    of_record,
)
from tocsin.decision.user_state import UserRecord
from tocsin.model.broadcast_list import Members, list_id
from tocsin.store.key_group import KeyGroup
from tocsin.store.timers import Timer

_DROPPED_A_TURN = 100
"""Rows that one turn drops of a list that has ended early."""


def key_of(members: Members) -> str:
    """Return the key of the record of a list."""
    return list_key(members.tenant, list_id(members.tenant, members.source, members.event_id))


class UserLists:
    """The lists of one key group. Rows are read one at a time, so memory does not grow with a list.

    Args:
        key_group: its store.
    """

    def __init__(self, key_group: KeyGroup[UserRecord]) -> None:
        self._key_group = key_group

    def take(self, members: Members, now_ms: int) -> bool:
        """Keep the users of a slice, or close the list; False if it takes no more.

        A copy of what the list has is taken at any time, and changes nothing.
        """
        key = key_of(members)
        found = self._read(key) or UserList()
        if members.closes and not found.ended:
            found.closed = True
        elif found.closed or found.ended:
            return members.closes or found.knows(members)
        elif (row := found.take(members)) is not None:
            self._key_group.keep(key, TIMER, found.rows, encode_row(row))
            found.rows += 1
        self._write(key, found)
        self._key_group.hold(key, TIMER, now_ms + KEPT_MS, b"")
        return True

    def awaited(self, key: str) -> bool:
        """Tell whether a list is not complete yet."""
        found = self._read(key)
        return found is None or not found.closed

    def next_users(self, key: str, at: int, most: int) -> tuple[list[str], int]:
        """Return the next users of a list, and the place in the first row behind them.

        Args:
            key: of the list's record.
            at: place in the first row.
            most: so many users at most; fewer only at the end of the list.
        """
        found, users = self._read(key), list[str]()
        if found is None:
            return users, at
        before = found.first
        while len(users) < most and found.first < found.rows:
            kept = self._key_group.kept(key, TIMER, found.first)
            row = None if kept is None else decode_row(kept)
            part = row.users[at : at + most - len(users)] if row is not None and found.wants(row) else []
            users += part
            at += len(part)
            if len(users) < most:
                self._key_group.drop_kept(key, TIMER, found.first)
                found.first, at = found.first + 1, 0
        if found.first != before:
            self._write(key, found)
        return users, at

    def end(self, key: str) -> bool:
        """Drop some of what is left of a list that is not needed any more; True when nothing is left."""
        found = self._read(key)
        if found is None or found.ended:
            return True
        behind = min(found.rows, found.first + _DROPPED_A_TURN)
        for number in range(found.first, behind):
            self._key_group.drop_kept(key, TIMER, number)
        found.first = behind
        found.ended = behind == found.rows
        self._write(key, found)
        return found.ended

    def forget(self, timer: Timer, *, in_use: bool) -> None:
        """Forget a list whose timer has fired, unless a broadcast goes to it; that one ends it."""
        if in_use:
            self._key_group.hold(timer.user, TIMER, timer.due_ms + KEPT_MS, b"")
        elif self.end(timer.user):
            self._key_group.put(timer.user, None)
        else:
            self._key_group.hold(timer.user, TIMER, timer.due_ms + 1, b"")

    def _read(self, key: str) -> UserList | None:
        record = self._key_group.get(key)
        return None if record is None else of_record(record)

    def _write(self, key: str, found: UserList) -> None:
        self._key_group.put(key, as_record(found))
