"""Decides whose a receipt of a vendor is, and which are written. Pure.

A receipt of a message of ours names its owner by the mark. One without a mark is about an address: it matters
only if it blocks the address or lifts a block, and then for all tenants that send with the account.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import asdict, replace

from tocsin.decision.receipts import RECEIPTS, blocks
from tocsin.formats.addresses import spellings
from tocsin.formats.marks import Marked, Marks
from tocsin.model.outcome import ReceiptEvent


class Result(StrEnum):
    """What became of one event of a webhook; the values are labels of a metric."""

    RECEIPT = "receipt"
    UNKNOWN = "unknown"
    """Of a kind that nobody knows: it is kept as a dead letter."""
    IGNORED = "ignored"
    """It changes nothing: the mail was handed on, or waits."""
    FOREIGN = "foreign"
    """About a message that Tocsin did not send, and not about the address."""
    OTHER_TENANT = "other_tenant"
    """Its mark is of a tenant that does not send with the account."""
    MIXED = "mixed"
    """Its mark is of another message than its message id: somebody has put two reports together."""
    REPEATED = "repeated"
    """It came before, and would change something once more."""


class Owned(NamedTuple):
    """A receipt with its owner, or why there is none."""

    result: Result
    receipt: ReceiptEvent | None = None


def named_by_id(found: Iterable[ReceiptEvent], marks: Marks) -> list[str]:
    """Return the ids of messages that receipts name by nothing else."""
    return [each.message_id for each in found if each.message_id and marks.open(each.mark) is None]


def owned(
    receipt: ReceiptEvent,
    *,
    marks: Marks,
    known: Mapping[str, Marked],
    tenants: Sequence[str],
    channel: str,
) -> Iterator[Owned]:
    """Give a receipt to its owner, or to all tenants of the account.

    Args:
        receipt: as its vendor's reader made it.
        marks: opens its mark.
        known: what is known of messages by their ids, for receipts without a mark.
        tenants: those that send with the account. Without any, the account is a former one: it has late
            reports of messages with a mark.
        channel: of the account.
    """
    named = marks.open(receipt.mark) or known.get(receipt.message_id)
    if named is not None and tenants and named.tenant not in tenants:
        yield Owned(Result.OTHER_TENANT)
    elif named is not None and receipt.message_id not in ("", named.message_id):
        yield Owned(Result.MIXED)
    elif named is not None:
        result = Result.RECEIPT if receipt.kind in RECEIPTS else Result.UNKNOWN
        yield Owned(result, replace(receipt, mark="", address="", **asdict(named)))
    elif _is_about_the_address(receipt):
        for tenant in tenants:
            yield Owned(
                Result.RECEIPT, replace(receipt, mark="", message_id="", tenant=tenant, channel=channel)
            )
    elif receipt.kind not in RECEIPTS:
        tenant = tenants[0] if len(tenants) == 1 else ""
        yield Owned(Result.UNKNOWN, replace(receipt, mark="", address="", tenant=tenant, channel=channel))
    else:
        yield Owned(Result.FOREIGN)


def _is_about_the_address(receipt: ReceiptEvent) -> bool:
    kind = RECEIPTS.get(receipt.kind)
    if kind is None or not receipt.address or not spellings(receipt.address)[0]:
        return False
    return kind.lifts or blocks(receipt, kind)


def changes_twice(receipt: ReceiptEvent) -> bool:
    """Tell whether a repetition would change something once more: a block after its lift, without a time.

    The gate drops what is older than a lift; a vendor that tells no time cannot be told old from new.
    """
    kind = RECEIPTS.get(receipt.kind)
    return kind is not None and not receipt.at_ms and (kind.lifts or blocks(receipt, kind) or kind.opts_out)
