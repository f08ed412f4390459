"""Compresses rows for the recovery store.

The records of an epoch repeat their names, ids and data: LZ4 leaves a fifth of them, at some 1.4 GB/s. SQLite
writes each byte of a row twice, which takes more.
"""

import lz4.block

from tocsin.errors import StateError

# The rows of an epoch are as small at 4 as at 1, and take a quarter less time.
_ACCELERATION = 4


def compressed(data: bytes) -> bytes:
    """Compress bytes; their length stands in front."""
    found: bytes = lz4.block.compress(data, mode="fast", acceleration=_ACCELERATION)
    return found


def expanded(data: bytes) -> bytes:
    """Return what `compressed` was given.

    Raises:
        StateError: the bytes are damaged.
    """
    try:
        found: bytes = lz4.block.decompress(data)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        msg = "a row of the recovery store is damaged: put back base and recovery store from one backup"
        raise StateError(msg) from error
    return found
