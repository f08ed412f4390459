"""Settings of a shard's memory: what the garbage collector walks, and what malloc keeps."""

import ctypes
import gc
import sys

# Parameters of `mallopt` in glibc. A block of more than the first goes back to the kernel when it is freed,
# and so does free memory at the end of the heap beyond the second. 32 MB is the largest that glibc accepts.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGEST_BLOCK_BYTES = 32 << 20
_KEPT_BYTES = 64 << 20
COLLECT_S = 10.0
"""How often a process frees young cycles: an outage of ClickHouse is one failure each five seconds."""


def collect_seldom() -> None:
    """Make the garbage collector run seldom, and never over objects that live as long as the process.

    Decisions make no cycles, but a thousand records per epoch outlive Python's default threshold of 700. The
    collector walked all of them, which took a tenth of a decision's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def collect_young() -> None:
    """Free the cycles that failures leave; a process calls it every `COLLECT_S`.

    An exception of a client library often refers to itself by a frame, and that frame holds what was to be
    sent: of a failed insert into ClickHouse some megabytes. It is few objects, so with `collect_seldom` some
    three hundred failures would wait for the collector together. Only objects made since the last time are
    walked.
    """
    gc.collect(1)


def keep_freed_memory() -> bool:
    """Make malloc keep what an epoch frees, for the next epoch needs as much again.

    An epoch's records, their packed row and its pickle are some megabytes each. Glibc gave them back to the
    kernel, which then had to clear and map each page anew: a page fault in three of four decisions.

    Returns:
        Whether this libc can be told. Without it all works as before, at some more CPU.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
