"""Finds in a catalog by a word: notifications, categories, event types, templates, uses of fields."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from tocsin.catalog.compiled import CompiledTenant
from tocsin.render.preview import Previewer

MOST: Final = 50
Kind = Literal["notification", "category", "event", "template", "field"]


class Hit(msgspec.Struct, frozen=True):
    """One thing that was found.

    Attributes:
        kind: what it is.
        name: its name; of a field its path in `data`.
        text: what it has to do with: channels, notifications, or the file and line of a use.
    """

    kind: Kind
    name: str
    text: str


def search(previewer: Previewer, tenant: str, word: str, kind: str = "") -> list[Hit]:
    """Find what has a word in its name; at most `MOST`, each once.

    Args:
        previewer: of the catalog.
        tenant: whose catalog; nothing of other tenants is found.
        word: any part of a name, in any case; empty for everything.
        kind: only this kind.

    Raises:
        PreviewError: there is no such tenant.
    """
    wanted, found = word.casefold(), dict[Hit, None]()
    for hit in _all(previewer, previewer.tenant(tenant), kind):
        if wanted in hit.name.casefold() and kind in ("", hit.kind):
            found[hit] = None
    return list(found)[:MOST]


def _all(previewer: Previewer, tenant: CompiledTenant, kind: str) -> Iterator[Hit]:
    for name, notification in tenant.notifications.items():
        channels = ", ".join(previewer.channels(tenant.name, name))
        yield Hit("notification", name, f"category {notification.category}, channels {channels}")
        yield Hit("category", notification.category, f"of {name}")
        for use in previewer.uses(tenant.name, name):
            kinds = "digests of " if use.digest else ""
            tongues = ", ".join(previewer.locales(tenant.name, use))
            yield Hit("template", use.template, f"writes {kinds}{name}, in {tongues}")
    for event, names in (*tenant.exact.items(), *_prefixes(tenant)):
        yield Hit("event", event, f"becomes {', '.join(names)}")
    if kind in ("", "field"):
        yield from _fields(previewer, tenant)


def _prefixes(tenant: CompiledTenant) -> Iterator[tuple[str, tuple[str, ...]]]:
    for prefix, name in tenant.prefixes:
        yield f"{prefix}*", (name,)


def _fields(previewer: Previewer, tenant: CompiledTenant) -> Iterator[Hit]:
    templates = {use.template for name in tenant.notifications for use in previewer.uses(tenant.name, name)}
    for template in sorted(templates):
        for path, places in sorted(previewer.reads(tenant.name, template).items()):
            for place in places:
                yield Hit("field", path, place)
