"""`python -m flows I/N FLOW CHANNEL…`: runs one shard of a supervisor; `I/1@P,P,…` has chosen partitions."""

import sys

from pydantic import ValidationError

from flows.plan import ShardPlan
from flows.process import run_shard
from flows.readiness import READY_FD, ready_signal
from flows.supervisor import PARENT, REFUSED
from tocsin.app.settings import Settings, environment, sentences


def main(arguments: list[str]) -> int:
    """Run the shard that the supervisor named; return its exit code."""
    share, flow, *channels = arguments
    share, _, chosen = share.partition("@")
    number, count = share.split("/")
    partitions = tuple(map(int, chosen.split(","))) if chosen else None
    try:
        settings = Settings()
    except ValidationError as error:
        print("\n".join(f"✗ {sentence}" for sentence in sentences(error)), file=sys.stderr)  # noqa: T201
        return REFUSED
    plan = ShardPlan(int(number), int(count), flow, tuple(channels), (), partitions)
    parent = int(environment().get(PARENT, "0"))
    ready = ready_signal(int(environment().get(READY_FD, "-1")))
    return run_shard(settings, plan, parent, ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
