"""How RocksDB is set up, and how its errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Env, Options, WriteOptions

from tocsin.errors import StateError

_MB = 1 << 20
_FULL = "the disk or its quota is full: free space and start again, nothing is lost"
_CURES = (
    ("While lock file", "another process uses it: stop that one, or wait for its end"),
    ("lock hold by", "this process has it open already"),
    ("No space left", _FULL),
    ("Disk quota", _FULL),
    ("File too large", _FULL),
    ("Corruption", "it is damaged: put back base and recovery store from one backup"),
    ("does not exist", "files are missing: put back base and recovery store from one backup"),
    ("No such file", "files are missing: put back base and recovery store from one backup"),
)


def options(*, create: bool = False) -> Options:
    """Build the base's options.

    - Bloom filter, 10 bits a key: an unknown user costs no read. Blocks of 4 KB: a cold read decompresses
      one, and of 16 KB that took most of its time. Filters and index are held outside the block cache (some
      8 MB for a million users).
    - Block cache 32 MB: the key groups cache decoded records above it, the kernel caches pages below it.
    - Write buffers 3 × 16 MB bound memory and the WAL that a start replays (well under a second).
    - lz4: records are half names and zeros; the kernel then caches twice as many.
    - Eight files of changes are compacted at once, not four: half the work, since each time much of the base
      is written again. A cold read looks at the filters of twice as many.
    - Background work runs at lowered priority and in 1 MB syncs, since two cores also carry the worker.
    - Files in which half of a window of keys are deletions are compacted: fired timers leave such runs.
    """
    built = Options(raw_mode=True)
    built.create_if_missing(create)
    built.set_error_if_exists(create)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_size(4 * 1024)
    table.set_block_cache(Cache(32 * _MB))
    built.set_block_based_table_factory(table)
    built.set_compression_type(DBCompressionType.lz4())
    built.set_write_buffer_size(16 * _MB)
    built.set_max_write_buffer_number(3)
    built.set_max_total_wal_size(64 * _MB)
    built.set_level_compaction_dynamic_level_bytes(True)
    built.set_level_zero_file_num_compaction_trigger(8)
    built.set_bytes_per_sync(_MB)
    built.add_compact_on_deletion_collector_factory(1024, 512, 0.5)
    built.set_keep_log_file_num(2)
    built.set_max_log_file_size(_MB)
    environment = Env()
    environment.lower_thread_pool_cpu_priority()
    built.set_env(environment)
    return built


def synced() -> WriteOptions:
    """Build write options that reach the disk before they return."""
    built = WriteOptions()
    built.sync = True
    return built


def rocks_error(error: Exception, doing: str) -> StateError:
    """Say what could not be done to the base, and what cures it."""
    text = str(error)
    cure = next((cure for sign, cure in _CURES if sign in text), "see the text; nothing was lost")
    return StateError(f"the state base cannot be {doing}: {cure} ({text[:300]})")


@contextmanager
def rocks_errors(doing: str) -> Iterator[None]:
    """Turn what RocksDB raises into a `StateError`; ours pass through.

    `rocksdict` raises bare `Exception` for every status, hence the broad clause.
    """
    try:
        yield
    except StateError:
        raise
    except Exception as error:
        raise rocks_error(error, doing) from error
