"""Checks the channels that a tenant declares and names."""

from collections.abc import Iterable, Iterator, Mapping

from tocsin.catalog.files import Document, Problem, Where
from tocsin.catalog.spec import TenantSpec
from tocsin.model.channels import CHANNELS, ContactKind, spec_of, unknown_channel


def channels_for(tenants: Iterable[TenantSpec]) -> frozenset[str]:
    """Return the channels that some of these tenants have: Tocsin's, and those that they declare."""
    return frozenset({str(name) for name in CHANNELS}.union(*[tenant.channels for tenant in tenants]))


def without_channel(channel: str, there: frozenset[str], tenants: Mapping[str, TenantSpec]) -> Iterator[str]:
    """Name the tenants that lack a channel which others declare."""
    if channel in there and channel not in CHANNELS:
        yield from (name for name, spec in tenants.items() if channel not in spec.channels)


def channel_problems(document: Document, spec: TenantSpec) -> Iterator[Problem]:
    """List the names of a tenant's file that are no channels, and contacts that a channel cannot have."""
    known = channels_for([spec])
    for where, name in _named(spec):
        if name not in known:
            yield document.problem(where, unknown_channel(name, known))
    for name, settings in spec.channels.items():
        kind = spec_of(name).contacts
        if settings.contact == "account" and kind is not ContactKind.NAMED:
            text = f"`{name}` goes to the {kind.value} of the recipient, remove `contact: account`"
            yield document.problem(("channels", name, "contact"), text)


def _named(spec: TenantSpec) -> Iterator[tuple[Where, str]]:
    """List the places where a tenant's file names a channel."""
    yield from ((("windows", name), name) for name in spec.windows)
    yield from ((("providers", name), name) for name in spec.providers)
    yield from ((("failover_after", name), name) for name in spec.failover_after)
    limits = enumerate(spec.limits or ())
    yield from ((("limits", at), one.channel) for at, one in limits if one.channel is not None)
    defaults = spec.preferences
    yield from ((("preferences", "channels", name), name) for name in defaults.channels)
    for group, switches in (("categories", defaults.categories), ("notifications", defaults.notifications)):
        for key, switch in switches.items():
            names = switch if isinstance(switch, dict) else ()
            yield from ((("preferences", group, key, name), name) for name in names)
