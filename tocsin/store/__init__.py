"""The exact store: records and timers of key groups, changed once per epoch."""

from tocsin.store.epochs import Publisher
from tocsin.store.identity import Identity
from tocsin.store.key_group import Codec, KeyGroup
from tocsin.store.shard import Shard
from tocsin.store.timers import Timer

__all__ = ["Codec", "Identity", "KeyGroup", "Publisher", "Shard", "Timer"]
