"""`tocsin check --provider NAME`: proves the credentials of one account without sending anything."""

from typing import Any

import typer
from rich.text import Text

from tocsin.app.settings import Settings
from tocsin.cli.one_account import OneAccount, error_facts, one_account
from tocsin.cli.output import FAULT, complain, console, print_json
from tocsin.errors import About, DeliveryError
from tocsin.providers.base import Provider, Verifiable

UNPROVEN = "this vendor proves no credentials without sending: try `tocsin send-test {} --to …`"
_CURE = "correct the credentials of {}, and what its page in docs/providers asks for"
_LATER = "nothing is proved: see whether the address of {} is right and the vendor works, and try again"


def check_provider(settings: Settings, name: str, *, json: bool) -> None:
    """Ask a vendor whether it takes the credentials of an account, and print what it says.

    Raises:
        SettingsError: there is no such account, or it has a mistake.
    """
    account = one_account(settings, name)
    found = {"account": name, **account.facts(), **_verdict(settings, account)}
    if json:
        print_json(found)
    else:
        _show(name, found)
    if found["proved"] is False:
        raise typer.Exit(FAULT)


async def _verify(provider: Provider) -> str:
    return await provider.verify() if isinstance(provider, Verifiable) else ""


def _verdict(settings: Settings, account: OneAccount) -> dict[str, Any]:
    """Return `proved`: true, false, or null where the vendor offers no such question."""
    try:
        said = account.ask(settings, _verify)
    except DeliveryError as error:
        entry = f"accounts.{account.name} in {settings.providers}"
        cure = (_CURE if error.about is About.ACCOUNT else _LATER).format(entry)
        return {"proved": False, "error": error_facts(error), "cure": cure}
    return {"proved": True, "said": said} if said else {"proved": None, "said": UNPROVEN.format(account.name)}


def _show(name: str, found: dict[str, Any]) -> None:
    facts = ", ".join(f"{key} {found[key]}" for key in ("vendor", "channel", "sender") if key in found)
    where = f", at {found['environment']}" if "environment" in found else ""
    if error := found.get("error"):
        complain(f"{name}: {error['class']} {error['code']}".rstrip() + f": {error['text']}")
        console.print(Text(f"    {found['cure']}"), soft_wrap=True)
    else:
        mark = ("✓", "green") if found["proved"] else ("!", "yellow")
        console.print(Text.assemble(mark, f" {name}: {found['said']}"), soft_wrap=True)
    console.print(Text(f"    {facts}{where}"), soft_wrap=True)
