"""`tocsin run`: the shards, supervised."""

import os
import re
import sys
from typing import Annotated

import typer

from flows.plan import FLOWS, ShardPlan
from flows.process import run_shard
from flows.supervisor import Supervisor
from tocsin.app.settings import Settings
from tocsin.cli.output import check_names, fail
from tocsin.model.statuses import CHANNELS

_OF = re.compile(r"^(\d+)/(\d+)$")


def run(
    *,
    shards: Annotated[
        int, typer.Option(min=1, help="number of processes to run, each with its share of the partitions")
    ] = 1,
    shard: Annotated[str, typer.Option(help="run only shard i of N here, as one of a fleet: i/N")] = "",
    flow: Annotated[str, typer.Option(help=f"flow to run: {', '.join(FLOWS)}")] = "pipeline",
    channel: Annotated[list[str] | None, typer.Option(help="deliver only these channels")] = None,
) -> None:
    """Run the flow against the servers named in the settings, until SIGTERM."""
    channels = tuple(channel or CHANNELS)
    check_names("flow", [flow], FLOWS)
    check_names("channel", channels, CHANNELS)
    settings = Settings()
    if shard:
        number, count = _share(shard, settings.partitions)
        raise typer.Exit(run_shard(settings, ShardPlan(number, count, flow, channels)))
    if shards > settings.partitions:
        fail(
            f"--shards: {shards} shards cannot share {settings.partitions} partitions (TOCSIN_PARTITIONS)",
            code=2,
        )
    supervisor = Supervisor(shards, lambda number: command(number, shards, flow, channels), os.environ)
    raise typer.Exit(supervisor.run())


def _share(text: str, partitions: int) -> tuple[int, int]:
    match = _OF.match(text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 <= number < count <= partitions:
        fail(f"--shard: {text!r} must be i/N with 0 <= i < N <= {partitions} (TOCSIN_PARTITIONS)", code=2)
    return number, count


def command(
    number: int, count: int, flow: str = "pipeline", channels: tuple[str, ...] = tuple(CHANNELS)
) -> list[str]:
    """Build the command line of one shard's process."""
    return [sys.executable, "-m", "flows", f"{number}/{count}", flow, *channels]
