"""`tocsin run`: the shards, supervised."""

import os
import re
import sys
from typing import Annotated

import typer

from flows.elastic import ElasticDelivery
from flows.plan import FLOWS, ShardPlan
from flows.process import run_shard
from flows.supervisor import Supervisor
from tocsin.app import logs
from tocsin.app.settings import Settings
from tocsin.cli.channels import check_channels
from tocsin.cli.output import check_names, console, fail

_OF = re.compile(r"^(\d+)/(\d+)$")


def run(
    *,
    shards: Annotated[
        int, typer.Option(min=1, help="number of processes to run, each with its share of the partitions")
    ] = 1,
    shard: Annotated[str, typer.Option(help="run only shard i of N here, as one of a fleet: i/N")] = "",
    flow: Annotated[str, typer.Option(help=f"flow to run: {', '.join(FLOWS)}")] = "pipeline",
    elastic: Annotated[
        bool,
        typer.Option("--elastic", help="with --flow deliver: share partitions with all others that run so"),
    ] = False,
    channel: Annotated[
        list[str] | None, typer.Option(help="deliver only these channels, each by name")
    ] = None,
) -> None:
    """Run the flow against the servers named in the settings, until SIGTERM."""
    check_names("flow", [flow], FLOWS)
    settings, channels = Settings(), tuple(channel or ())
    check_channels("channel", channels, settings)
    if elastic:
        raise typer.Exit(_elastic(settings, flow, shard, shards, channels))
    if shard:
        number, count = _share(shard, settings.partitions)
        raise typer.Exit(run_shard(settings, ShardPlan(number, count, flow, channels)))
    if shards > settings.partitions:
        fail(
            f"--shards: {shards} shards cannot share {settings.partitions} partitions (TOCSIN_PARTITIONS)",
            code=2,
        )
    supervisor = Supervisor(shards, lambda number: command(number, shards, flow, channels), os.environ)
    named = "1 shard starts" if shards == 1 else f"{shards} shards start"
    console.print(f"{named}, flow {flow}; warnings are written here. Ctrl-C or SIGTERM ends in order.")
    raise typer.Exit(supervisor.run())


def _elastic(settings: Settings, flow: str, shard: str, shards: int, channels: tuple[str, ...]) -> int:
    if flow != "deliver" or shard or shards > 1:
        text = "--elastic: only for --flow deliver, without --shard and --shards: the group gives the share"
        fail(text, code=2)
    logs.configure()
    return ElasticDelivery(settings, channels, os.environ).run()


def _share(text: str, partitions: int) -> tuple[int, int]:
    match = _OF.match(text)
    number, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 <= number < count <= partitions:
        fail(f"--shard: {text!r} must be i/N with 0 <= i < N <= {partitions} (TOCSIN_PARTITIONS)", code=2)
    return number, count


def command(number: int, count: int, flow: str = "pipeline", channels: tuple[str, ...] = ()) -> list[str]:
    """Build the command line of one shard's process; without channels it delivers all."""
    return [sys.executable, "-m", "flows", f"{number}/{count}", flow, *channels]
