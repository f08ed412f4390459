"""`tocsin offsets`: the positions a lost state directory leaves behind in Kafka."""

from typing import Annotated

import typer

from sources.topics import TopicAdmin
from tocsin.app.settings import Settings
from tocsin.cli.output import console, fail
from tocsin.model.topics import shard_group

app = typer.Typer(help="Committed positions of the shards.", no_args_is_help=True)


@app.command()
def forget(
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="confirm: every event that Kafka still holds is decided again")
    ] = False,
) -> None:
    """Forget how far all shards had read, to begin anew after their state directories were lost.

    Everything that Kafka still holds is then decided again. Messages that the send ledger remembers are not
    sent again; older ones are.
    """
    settings = Settings()
    group = shard_group(settings.topic_prefix)
    if not yes:
        fail(
            f"this lets the shards of group {group} read all topics from their beginning; stop them, remove"
            f" their state under {settings.state_dir}, then say --yes",
            code=2,
        )
    TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options).forget_group(group)
    console.print(f"[green]✓[/green] group {group} is forgotten")
