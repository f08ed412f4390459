"""`tocsin topics`: create and list the topics."""

import typer

from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.settings import Settings
from tocsin.cli.output import console
from tocsin.model import topics as names

app = typer.Typer(help="The topics Tocsin reads and writes.", no_args_is_help=True)


@app.command()
def create() -> None:
    """Create all topics with their partition counts; those that exist are checked and left alone."""
    settings = Settings()
    admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
    with console.status(f"creating topics at {settings.kafka}"):
        created = admin.create(TopicPlan(settings.partitions, settings.replication))
    for name in created:
        console.print(f"[green]✓[/green] {settings.topic_prefix}{name}")
    console.print(f"{len(created)} created, {len(names.ALL) - len(created)} were there")


@app.command("list")
def list_topics() -> None:
    """List the topics and what each is for."""
    for name in names.ALL:
        console.print(f"[bold]{Settings().topic_prefix}{name:24}[/bold] {names.PURPOSE[name]}")
