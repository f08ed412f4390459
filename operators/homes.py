"""Homes: the partition and the key group in which a user lives."""

from collections.abc import Sequence
from typing import Final
from zlib import crc32

from sources.partitioner import key_group_of, partition_of
from tocsin.errors import DecodeError
from tocsin.model.statuses import Reason
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

    def split(self, tenant: str, users: Sequence[str], partition: int) -> list[list[str]]:
        """Sort users of one partition by their key group; those are not remembered.

        Raises:
            DecodeError: the first or the last of them belongs to another partition.
        """
        groups, start = self._key_groups, crc32(f"{tenant}/".encode())
        for user in {*users[:1], *users[-1:]}:
            if partition_of(f"{tenant}/{user}".encode(), self._partitions) != partition:
                text = "users: not of this partition; is TOCSIN_PARTITIONS the same for gateway and shards?"
                raise DecodeError(Reason.FORWARD_LOOP, text)
        found: list[list[str]] = [[] for _ in range(groups)]
        for user in users:  # the crc of a text goes on from that of its beginning
            found[crc32(user.encode(), start) % groups].append(user)
        return found

    def _find(self, user_key: str) -> tuple[int, str]:
        key = user_key.encode()
        partition = partition_of(key, self._partitions)
        if len(self._found) >= self._remembered:
            self._found.clear()
        found = partition, self.names[partition][key_group_of(key, self._key_groups)]
        self._found[user_key] = found
        return found
