"""Finds the partition and the key group of a user.

A key group is a fixed fraction of the users of one partition; `<partition>.<key group>` is Bytewax's key.
Both functions are part of the state's layout: a change of either one orphans every stored user.
"""

import ctypes
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


def key_group_of(user_key: bytes, key_groups: int) -> int:
    """Return the key group of `tenant/user`, from 0.

    The hash is crc32, which is independent of the partition's murmur2, so that users spread evenly.

    >>> key_group_of(b"default/ada", 8)
    1
    """
    return crc32(user_key) % key_groups


def murmur2(data: bytes) -> int:
    """Hash as `org.apache.kafka.common.utils.Utils.murmur2` does, as an unsigned 32-bit number."""
    whole = len(data) & ~3
    h = _SEED ^ len(data)
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _WORD
        h = (h * _M & _WORD) ^ ((k ^ (k >> 24)) * _M & _WORD)
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    h = (h ^ (h >> 13)) * _M & _WORD
    return h ^ (h >> 15)


def python_partition_of(user_key: bytes, partitions: int) -> int:
    """Compute `partition_of` without librdkafka."""
    return (murmur2(user_key) & _POSITIVE) % partitions


def native_partition_of() -> Callable[[bytes, int], int] | None:
    """Load librdkafka's own partitioner from the library in confluent-kafka; None if it is not there."""
    spec = find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    for folder in (package.parent / "confluent_kafka.libs", package / ".dylibs"):
        for path in sorted(folder.glob("librdkafka*")):
            found = _load(path)
            if found is not None:
                return found
    return None


def _load(path: Path) -> Callable[[bytes, int], int] | None:
    try:
        # PyDLL keeps the GIL: giving it back would cost more than the hash. Without `argtypes` a call takes
        # 0.8 us instead of 1.6; `_agrees` sees to it that this machine's calling convention bears that.
        function = ctypes.PyDLL(str(path)).rd_kafka_msg_partitioner_murmur2
    except (OSError, AttributeError):
        return None

    def partition_of(user_key: bytes, partitions: int) -> int:
        found: int = function(None, user_key, len(user_key), partitions, None, None)
        return found

    return partition_of if _agrees(partition_of) else None


def _agrees(partition_of: Callable[[bytes, int], int]) -> bool:
    keys = [b"tenant/user-\x00\xff"[:length] for length in range(15)]
    counts = (1, 16, _POSITIVE)
    return all(partition_of(key, n) == python_partition_of(key, n) for key in keys for n in counts)


partition_of: Callable[[bytes, int], int] = native_partition_of() or python_partition_of
"""`partition_of(user_key, partitions)`: Kafka's partition of `tenant/user` (murmur2, as Java clients)."""
