"""The suppressions of one key group, in records of their own in its store.

Most deployments have none, so a record says whether there are any: without it no decision looks one up.
"""

from collections.abc import Callable, Iterable

from tocsin.decision import suppressions
from tocsin.decision.gate import Gate
from tocsin.decision.suppressions import ANY_KEY, record_key
from tocsin.decision.user_state import UserRecord
from tocsin.store.key_group import KeyGroup


class Suppressions:
    """Reads the suppressions of a key group that has some.

    Args:
        key_group: its store.
        gate: gives the gate of the catalog in force, whose policy bounds a user's blocks.
    """

    def __init__(self, key_group: KeyGroup[UserRecord], gate: Callable[[], Gate]) -> None:
        self._key_group = key_group
        self._gate = gate

    @classmethod
    def of(cls, key_group: KeyGroup[UserRecord], gate: Callable[[], Gate]) -> "Suppressions | None":
        """Return the suppressions of a key group, or None if it never had one."""
        return cls(key_group, gate) if key_group.get(ANY_KEY) else None

    @classmethod
    def first(cls, key_group: KeyGroup[UserRecord], gate: Callable[[], Gate]) -> "Suppressions":
        """Note that a key group has suppressions from now on."""
        key_group.put(ANY_KEY, UserRecord(blocked={"any": 1}))
        return cls(key_group, gate)

    def adopt(
        self, user_key: str, record: UserRecord | None, keys: Iterable[str]
    ) -> tuple[UserRecord | None, list[str]]:
        """Take the suppressions of contact points over into a user's record; return also what is new."""
        tenant = user_key.partition("/")[0]
        most = self._gate().policy.blocked_max
        return suppressions.adopt(record, keys, lambda key: self._suppressed_ms(tenant, key), most)

    def _suppressed_ms(self, tenant: str, key: str) -> int:
        found = self._key_group.get(record_key(tenant, key))
        return found.blocked.get(key, 0) if found else 0
