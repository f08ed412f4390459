"""The exact store: records and timers of key groups, changed once per epoch (docs/exact-store.md).

Read `shard` first, then `epochs` and `key_group`. The store knows nothing of notifications.

| module | what it does |
|---|---|
| `shard` | the store of one process: what source, steps and sink call |
| `epochs` | drives the epochs: open, closing, durable, confirmed |
| `key_group` | records and timers of the users of one key group |
| `timers` | timers of one key group, the near ones in memory |
| `deltas` | what one epoch changed, as the recovery store keeps it |
| `outbox` | records that are published once their epoch is durable |
| `base` | everything as of the last applied epoch, in RocksDB |
| `rocks` | how RocksDB is set up |
| `keys` | keys and values of the base |
| `identity` | whose state a directory holds |
| `directory` | the directory of a shard |
| `compression` | compresses rows of the recovery store |
"""

from tocsin.store.epochs import Publisher
from tocsin.store.identity import Identity
from tocsin.store.key_group import Codec, KeyGroup
from tocsin.store.shard import Shard
from tocsin.store.timers import Timer

__all__ = ["Codec", "Identity", "KeyGroup", "Publisher", "Shard", "Timer"]
