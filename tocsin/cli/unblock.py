"""`tocsin unblock`: lifts a block by hand."""

import time
from typing import Annotated

import typer
from rich.text import Text

from tocsin.app.settings import Settings
from tocsin.cli.channels import check_channels
from tocsin.cli.entering import enter
from tocsin.cli.output import console, fail, print_json
from tocsin.cli.send import write
from tocsin.formats.codec import decode_receipt, encode
from tocsin.model import topics
from tocsin.model.audit import Action
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord


def unblock(
    *,
    user: Annotated[str, typer.Option(help="id of the user; by default all who have the address")] = "",
    tenant: Annotated[str, typer.Option(help="tenant of the user")] = "default",
    address: Annotated[str, typer.Option(help="the address, number or device token")] = "",
    target: Annotated[str, typer.Option(help="or its hash, as `tocsin why` shows it")] = "",
    channel: Annotated[str, typer.Option(help="or all of the user's on this channel")] = "",
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Let users be reached again at an address or device that a receipt blocked."""
    if not (address or target or (channel and user)):
        fail("name what to unblock: --address, --target, or --channel of a --user", code=2)
    check_channels("channel", [channel] if channel else [])
    receipt = ReceiptEvent(
        tenant=tenant,
        user=user,
        kind="unblocked",
        channel=channel,
        target=target,
        address=address,
        at_ms=time.time_ns() // 1_000_000,
        reason="by hand",
    )
    value = encode(receipt)
    decode_receipt(RawRecord(topics.RECEIPTS, 0, 0, 0, None, value, ()))  # what decide would refuse, too
    settings = Settings()
    origin = write(settings, topics.RECEIPTS, f"{tenant}/{user}", value)
    enter(settings, Action.UNBLOCK_ASKED, tenant, origin, user, channel=channel)
    if json:
        print_json({"origin": origin})
    else:
        console.print(Text.assemble(("✓", "green"), f" written at {origin}"), soft_wrap=True)
