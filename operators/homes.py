"""Homes: the partition and the key group in which a user lives."""

from typing import Final

from sources.partitioner import key_group_of, partition_of
from tocsin.store.keys import rows_key

REMEMBERED: Final = 1 << 16
"""Users whose key group is remembered, at some 200 bytes each."""


class Homes:
    """Where users live, remembered for those seen lately: hashing the key twice takes a microsecond."""

    def __init__(self, partitions: int, key_groups: int, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._partitions = partitions
        self._key_groups = key_groups
        self.names = [[f"{p}.{n}" for n in range(key_groups)] for p in range(partitions)]
        self.rows = frozenset(map(rows_key, range(partitions)))
        self._found: dict[str, tuple[int, str]] = {}

    def of(self, user_key: str) -> tuple[int, str]:
        """Return the partition of `tenant/user` and the name of its key group."""
        return self._found.get(user_key) or self._find(user_key)

    def _find(self, user_key: str) -> tuple[int, str]:
        key = user_key.encode()
        partition = partition_of(key, self._partitions)
        if len(self._found) >= self._remembered:
            self._found.clear()
        found = partition, self.names[partition][key_group_of(key, self._key_groups)]
        self._found[user_key] = found
        return found
