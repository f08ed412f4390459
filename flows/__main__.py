"""`python -m flows I/N FLOW CHANNEL…`: one shard, with no more imports than it needs."""

import sys

from pydantic import ValidationError

from flows.process import ShardPlan, run_shard
from flows.supervisor import PARENT, REFUSED
from tocsin.app.settings import Settings, environment


def main(arguments: list[str]) -> int:
    """Run the shard that the supervisor named."""
    share, flow, *channels = arguments
    number, count = share.split("/")
    try:
        settings = Settings()
    except ValidationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return REFUSED
    parent = int(environment().get(PARENT, "0"))
    return run_shard(settings, ShardPlan(int(number), int(count), flow, tuple(channels)), parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
