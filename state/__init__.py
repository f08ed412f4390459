"""The exact store: a lane's records and timers, changed once per epoch. It knows nothing of notifications."""

from state.epochs import Publisher
from state.identity import Identity
from state.lane import Codec, Lane
from state.shard import Shard
from state.timers import Timer

__all__ = ["Codec", "Identity", "Lane", "Publisher", "Shard", "Timer"]
