"""The exact store: a lane's records and timers, changed once per epoch. It knows nothing of notifications."""

from tocsin.store.epochs import Publisher
from tocsin.store.identity import Identity
from tocsin.store.lane import Codec, Lane
from tocsin.store.shard import Shard
from tocsin.store.timers import Timer

__all__ = ["Codec", "Identity", "Lane", "Publisher", "Shard", "Timer"]
