"""Changes what a user wants, by whichever way: the API, the page, or a link in a mail.

A choice stands in the profile. What was switched off by a receipt, such as a mail provider's report, is in
the gate's state beside it, so a category that is switched on again is told to the gate by a receipt, too. The
receipt is written first: with it alone nothing is sent that the profile refuses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tocsin.formats.codec import encode
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people import texts
from tocsin.gateway.people.changing import Changed, Edit
from tocsin.gateway.people.choices import turned_on
from tocsin.gateway.people.entry import Change, Entry
from tocsin.gateway.people.people import audit, changes_of
from tocsin.gateway.writer import Record
from tocsin.model import topics
from tocsin.model.ids import digest
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.profile import Preferences, QuietHours

FIELDS = ("preferences", "quiet_hours")


class Choice(NamedTuple):
    """What a user allows."""

    preferences: Preferences
    quiet_hours: QuietHours | None


class By(NamedTuple):
    """Who changes it, and when.

    Attributes:
        request_id: names the request; receipts and audit records of one name are copies of each other.
        at_ms: when it came.
        actor: for the audit log.
    """

    request_id: str
    at_ms: int
    actor: str

    @classmethod
    def of(cls, given_id: str, at_ms: int, actor: str) -> "By":
        """Name a request by its time, too: callers choose ids, and may give one to several requests."""
        return cls(f"{given_id} {at_ms}", at_ms, actor)


def choice_of(entry: Entry) -> Choice:
    """Return what a user allows."""
    profile = texts.read(entry.text)
    return Choice(profile.preferences, profile.quiet_hours)


def tag_of(entry: Entry) -> str:
    """Return the entity tag of what a user allows; other changes of the profile leave it as it is."""
    fields = texts.fields_of(entry.text)
    return texts.tag_of(*(bytes(fields.get(name, b"")) for name in FIELDS))


def choosing(entry: Entry, choice: Choice) -> Change | None:
    """Make the change that sets what a user allows; None if it is so already."""
    if choice == choice_of(entry):
        return None
    given = {"preferences": choice.preferences, "quiet_hours": choice.quiet_hours}
    return Change(texts.with_fields(entry.text, given), FIELDS)


async def prefer(gateway: Gateway, owner: tuple[str, str], by: By, edit: Edit) -> Changed:
    """Change what a user allows; returns once Kafka has it.

    Args:
        gateway: the gateway.
        owner: tenant and user.
        by: who changes it.
        edit: makes the change.

    Raises:
        Problem: the edit's, or 503.
    """
    changes, key = changes_of(gateway), "/".join(owner)
    entry = await changes.look(key)
    change = edit(entry)
    if change is not None:
        before, after = choice_of(entry), texts.read(change.text)
        for category in turned_on(before.preferences, after.preferences):
            await gateway.writer.write(resubscribed(owner, category, by))
    audited = audit(by.request_id, by.at_ms, by.actor, owner, "preferences")
    return await changes.change(key, edit, [audited])


def resubscribed(owner: tuple[str, str], category: str, by: By) -> Record:
    """Return the receipt of a user who wants a category again; `*` stands for everything."""
    return _receipt("resubscribed", owner, category, by)


def unsubscribed(owner: tuple[str, str], category: str, by: By) -> Record:
    """Return the receipt of a user who wants no more of a category; empty stands for everything."""
    return _receipt("unsubscribed", owner, category, by)


def _receipt(kind: str, owner: tuple[str, str], category: str, by: By) -> Record:
    tenant, user = owner
    receipt = ReceiptEvent(
        kind=kind,
        tenant=tenant,
        user=user,
        category=category,
        at_ms=by.at_ms,
        receipt_id=digest("gateway", kind, by.request_id, category),
    )
    return Record(topics.RECEIPTS, f"{tenant}/{user}".encode(), encode(receipt))


def without(preferences: Preferences, category: str) -> Preferences:
    """Switch a category off as a whole, or everything if it is empty."""
    if not category:
        return msgspec.structs.replace(preferences, enabled=False)
    categories = {**preferences.categories, category: False}
    return msgspec.structs.replace(preferences, categories=categories)


def with_again(preferences: Preferences, category: str, channels: Sequence[str]) -> Preferences:
    """Switch a category on again, on all its channels; everything if it is empty.

    The switch for everything stays as it is for a category: who stopped all of them wants one back, not all.
    """
    if not category:
        return msgspec.structs.replace(preferences, enabled=True)
    categories = {**preferences.categories, category: dict.fromkeys(channels, True)}
    return msgspec.structs.replace(preferences, categories=categories)
