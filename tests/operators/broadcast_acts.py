"""What may happen to the shards of a broadcast in the tests that kill them."""

from tests.operators.fleet import Fleet


class BroadcastActs:
    """Lets things happen to the broadcast `b1` of a fleet and to its shards."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._number = 0

    def act(self, what: str, member: int) -> None:
        """Let one thing happen; `member` is the shard that dies."""
        fleet, shard = self.fleet, self.fleet.members[member % self.fleet.shards]
        if what in {"pause", "resume"}:
            self._number += 1
            fleet.control("b1", what, f"control-{self._number}")
        elif what == "lost":
            shard.read()
            shard.notify()
            shard.kill()
        elif what == "stored":
            shard.read()
            shard.notify()
            shard.close_epoch()
            shard.kill()
        elif what == "copied":
            shard.copy_last()
        fleet.step()
