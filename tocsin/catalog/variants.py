"""Variants: arms of an experiment (A/B test) on one notification, and which of them a user is in.

    variants:
      - {name: plain, weight: 80}
      - {name: cheerful, weight: 10, template: offer_cheerful}
      - {name: control, weight: 10, holdout: true}         # nothing is sent: to measure what sending changes

A user's arm follows from tenant, notification and user alone, so it is the same for every event. Arms are
drawn by weighted rendezvous hashing (Schindelhauer, Schomaker: Weighted Distributed Hash Tables, 2005): each
arm gets a score of its own for the user, and the highest wins. So a changed weight moves users only into the
arm that gained, or out of the one that lost. Nobody moves between two others, whatever their order.
"""

import math
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from pydantic import BaseModel, Field

from tocsin.catalog.close_names import no_template
from tocsin.catalog.scalars import STRICT, WholeNumber
from tocsin.model.ids import spelled
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome

_POINTS: Final = float(1 << 64)
NAMES: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""The pattern of the name of an arm."""


class Variant(BaseModel):
    """One arm: its share by weight, and the template it is written with; a holdout is not sent."""

    model_config = STRICT

    name: str = Field(pattern=NAMES)
    weight: WholeNumber = Field(ge=0, le=10_000)
    template: str = ""
    holdout: bool = False


class CompiledVariant(msgspec.Struct, frozen=True, gc=False):
    """One arm, with what all its messages and outcomes have in common.

    `spelled` is the start of what is hashed for a user.
    """

    name: str
    weight: int
    holdout: bool
    spelled: str
    message: Message
    outcome: Outcome
    digest_template: str


def compile_variants(
    variants: Sequence[Variant], message: Message, outcome: Outcome, digest_template: str
) -> tuple[CompiledVariant, ...]:
    """Compile the arms of a notification.

    Args:
        variants: as they are written.
        message: what all messages of the notification have in common.
        outcome: what all its outcomes have.
        digest_template: the template of its digests; empty for that of the arm.
    """
    return tuple(
        CompiledVariant(
            one.name,
            one.weight,
            one.holdout,
            spelled("variant", message.tenant, message.notification, one.name),
            msgspec.structs.replace(message, template=one.template or message.template, variant=one.name),
            msgspec.structs.replace(outcome, variant=one.name),
            digest_template or one.template or message.template,
        )
        for one in variants
    )


def draw(variants: Sequence[CompiledVariant], user: str) -> CompiledVariant:
    """Return the arm of a user: of equal scores, the first.

    Args:
        variants: the arms of one notification; at least one has a weight.
        user: the user's id.
    """
    return max(variants, key=lambda one: _score(one, user))


def named(variants: Sequence[CompiledVariant], name: str) -> CompiledVariant | None:
    """Return the arm of this name; None if the catalog has it no more."""
    return next((one for one in variants if one.name == name), None)


def _score(variant: CompiledVariant, user: str) -> float:
    """Draw the arm's score for a user: of two arms, each is higher as often as its weight says."""
    hashed = blake2b(f"{variant.spelled}{spelled(user)}".encode(), digest_size=8).digest()
    point = (int.from_bytes(hashed, "big") + 0.5) / _POINTS
    return variant.weight / -math.log(min(point, math.nextafter(1.0, 0.0)))


def variant_mistakes(
    variants: Sequence[Variant], templates: set[str]
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Find arms that contradict each other; each mistake with the place of its arm, empty for all."""
    names = [one.name for one in variants]
    for at, one in enumerate(variants):
        if one.name in names[:at]:
            yield (at,), f"`{one.name}` appears twice, rename one"
        if one.holdout and one.template:
            yield (at,), f"`{one.name}` is a holdout and sends nothing, remove `template`"
        if one.template and one.template not in templates:
            yield (at,), no_template(one.template, templates)
    if len(variants) == 1:
        yield (), "one variant alone is no choice, add another or remove `variants`"
    elif variants and not any(one.weight for one in variants):
        yield (), "no variant has a weight above 0, so nobody could be in one: set weights"
    elif variants and all(one.holdout for one in variants):
        yield (), "every variant is a holdout, so nobody could ever get it: add one that is sent"
