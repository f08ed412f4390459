"""An adapter as a deployment builds it, and one message sent through it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.providers.samples import SteppingClock
from tocsin.errors import DeliveryError
from tocsin.model.content import Outgoing
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Provider, Receipt
from tocsin.providers.http import Clock

PATH = Path("providers.yaml")


def built(account: Mapping[str, Any], clock: Clock | None = None) -> Provider:
    """Build the adapter of an account, as a file of accounts would have it.

    Args:
        account: with its `vendor`.
        clock: one that stands still if there is none.
    """
    accounts = parse_accounts({"accounts": {"main": dict(account)}}, {}, PATH)
    return build(accounts, clock=clock or SteppingClock())["main"]


async def sent_once(provider: Provider, outgoing: Outgoing) -> Receipt | DeliveryError:
    """Send one message and close the adapter; return its receipt, or why it failed."""
    try:
        return await provider.send(outgoing)
    except DeliveryError as error:
        return error
    finally:
        await provider.close()
