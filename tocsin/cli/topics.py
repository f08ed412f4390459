"""`tocsin topics`: create and list the topics."""

from collections.abc import Collection
from typing import Annotated

import typer

from flows.channels import used_channels
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.settings import Settings
from tocsin.cli.output import console, fail
from tocsin.errors import TocsinError
from tocsin.model import topics as names
from tocsin.model.channels import in_order, is_channel_name
from tocsin.model.statuses import FIRST_CHANNELS

app = typer.Typer(help="The topics Tocsin reads and writes.", no_args_is_help=True)


@app.command()
def create(
    *,
    channel: Annotated[list[str] | None, typer.Option(help="for this channel, too; may be repeated")] = None,
) -> None:
    """Create the topics with their partition counts; those that exist are checked and left alone.

    Messages have two topics a channel, for the channels that the catalog and the accounts use. Where these
    cannot be read, they are made for the channels of the first release.
    """
    settings = Settings()
    for name in channel or ():
        if not is_channel_name(name):
            fail(f"--channel {name!r}: use a-z, digits, dash and underscore, at most 32", code=2)
    wanted = names.needed(in_order({*_channels(settings), *(channel or ())}))
    admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
    with console.status(f"creating topics at {settings.kafka}"):
        created = admin.create(TopicPlan(settings.partitions, settings.replication), wanted)
    for name in created:
        console.print(f"[green]✓[/green] {settings.topic_prefix}{name}")
    console.print(f"{len(created)} created, {len(wanted) - len(created)} were there")


def _channels(settings: Settings) -> Collection[str]:
    try:
        return used_channels(settings)
    except (TocsinError, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        console.print(f"catalog or accounts cannot be read: {first}", soft_wrap=True, markup=False)
        return FIRST_CHANNELS


@app.command("list")
def list_topics() -> None:
    """List the topics and what each is for."""
    settings = Settings()
    for name in names.needed(_channels(settings)):
        console.print(f"[bold]{settings.topic_prefix}{name:24}[/bold] {names.purpose(name)}")
