"""Names of channels that options take."""

from collections.abc import Iterable

from flows.channels import known_channels
from tocsin.app.settings import Settings
from tocsin.cli.output import fail
from tocsin.model.channels import CHANNELS, unknown_channel


def check_channels(option: str, named: Iterable[str], settings: Settings | None = None) -> None:
    """End with what there is, if an option names a channel that there is not.

    The catalog and the accounts are read only if a name is not one of Tocsin's own.
    """
    others = sorted(set(named) - {str(name) for name in CHANNELS})
    known = known_channels(settings or Settings()) if others else ()
    for name in others:
        if name not in known:
            fail(f"--{option}: {unknown_channel(name, known)}", code=2)
