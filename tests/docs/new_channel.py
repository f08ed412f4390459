"""Sends one voice call from an event, with the `tocsin` of the current folder, to which a channel was added.

`tests/docs/test_extending.py` runs it in a process of its own. Arguments: a catalog, the gateway's address.
"""

import asyncio
import sys
from pathlib import Path

import tocsin
from tests.decision.gate_world import World, profile
from tests.providers.samples import SteppingClock
from tocsin.catalog.loader import check, load
from tocsin.model.content import Outgoing
from tocsin.model.message import Message
from tocsin.providers.accounts import build, parse_accounts
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates


def decide(catalog: Path) -> Message:
    """Return the one message that an event gives a user with a phone number."""
    world = World("default", catalog=load(catalog))
    world.profile(profile())
    [message] = world.event("gate.moved", data={"gate": "B12"}).messages
    return message


async def send(catalog: Path, message: Message, url: str) -> str:
    """Render the message, hand it to the vendor, and return the vendor's id of it."""
    tenants = {name: tenant.spec for name, tenant in load(catalog).tenants.items()}
    renderer = Renderer(load_templates(catalog / "templates"), tenants, b"0123456789abcdef")
    account = {"vendor": "textline", "key": "k", "base_url": url}
    accounts = parse_accounts({"accounts": {"phone": account}}, {}, Path("providers.yaml"))
    provider = build(accounts, clock=SteppingClock())["phone"]
    assert provider.accepts(message)
    receipt = await provider.send(Outgoing(message, renderer.render(message)))
    await provider.close()
    return receipt.provider_message_id


def run(catalog: Path, url: str) -> None:
    """Check the catalog, decide, render and send."""
    assert Path(str(tocsin.__file__)).is_relative_to(Path.cwd())
    assert check(catalog) == []
    message = decide(catalog)
    receipt = asyncio.run(send(catalog, message, url))
    sys.stdout.write(f"{message.channel} {message.target.address} {receipt}\n")


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
