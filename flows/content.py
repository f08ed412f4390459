"""The catalog in force. Gate and renderer are rebuilt when its files change and pass all checks.

A tenant with a mistake in its own files keeps its last good version, with its templates of then, while the
others get the new one. A process that starts takes that version from disk (`flows.kept_catalog`).
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flows.kept_catalog import KeptCatalog
from tocsin.catalog.attachments import attachments_of
from tocsin.catalog.loader import Catalog, load_apart
from tocsin.catalog.watch import CatalogWatcher, Reload
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.delivery.executor import OnUnknown
from tocsin.errors import CatalogError, kind_and_place
from tocsin.model.audit import Action, Fact
from tocsin.model.content import Content
from tocsin.model.message import Message
from tocsin.model.unanswered import OnUnknown as UnknownPolicy
from tocsin.providers.base import Provider
from tocsin.providers.choice import Choice
from tocsin.render.check import sound_templates
from tocsin.render.renderer import Renderer
from tocsin.render.sets import TemplateSets

Note = Callable[[Action, str, dict[str, Fact]], None]

_log = logging.getLogger("tocsin.catalog")
_UNFORESEEN = (
    "the new one cannot be put in force, by a fault of Tocsin itself: report it with this line; "
    "`tocsin check` may tell more; the next change of a file is tried again"
)


class CatalogContent(NamedTuple):
    """A catalog and its templates."""

    catalog: Catalog
    templates: TemplateSets


def read(path: Path, catalog: Catalog) -> CatalogContent:
    """Read the templates of a catalog, and join the mistakes of tenants in both.

    Raises:
        CatalogError: a mistake in what tenants share, or in every tenant.
    """
    sets = sound_templates(path, catalog.tenants)
    faults = {**catalog.faults, **{name: "\n".join(lines) for name, lines in sets.faults.items()}}
    return CatalogContent(Catalog(catalog.version, catalog.tenants, catalog.sources, faults), sets)


def over(new: CatalogContent, before: Mapping[str, CatalogContent]) -> CatalogContent:
    """Give each tenant with mistakes its version of before, if there is one; the others have the new one."""
    catalog, sets = new
    faults = catalog.faults
    tenants = {name: found for name, found in catalog.tenants.items() if name not in faults}
    apart = {name: found for name, found in sets.apart.items() if name not in faults}
    for name in faults:
        if (known := before.get(name)) is not None:
            tenants[name], apart[name] = known.catalog.tenants[name], known.templates.of(name)
    merged = Catalog(catalog.version, tenants, catalog.sources, faults)
    return CatalogContent(merged, sets._replace(apart=apart))


def no_note(action: Action, version: str, _detail: dict[str, Fact]) -> None:
    """Enter nothing: a tool that reads a catalog puts none in force."""
    _log.debug("%s %s", action, version)


class CatalogInForce:
    """Keeps the gate and the renderer of the present catalog.

    A reload that fails keeps the old content; `problem` then describes the new one's mistakes, and
    `tenant_problem` those of single tenants. One thread may poll while others decide: they read single
    attributes.

    Args:
        path: the catalog's folder.
        policy: of the gate.
        secret: signs unsubscribe links.
        kept: what was good before this process started; None for nothing.
        note: enters loads and refusals into the audit log.
        accept: raises `CatalogError` for a catalog that cannot be put in force here; None takes all.
        gateway_url: public address of the gateway, for links in messages.

    Raises:
        CatalogError: the catalog at the start has a mistake in what tenants share, or in every tenant; the
            text names file, line and cure.
    """

    def __init__(
        self,
        path: Path,
        policy: GatePolicy,
        secret: bytes,
        kept: KeptCatalog | None = None,
        note: Note = no_note,
        accept: Callable[[Catalog], None] | None = None,
        gateway_url: str = "",
    ) -> None:
        self._path = path
        self._note = note
        self._kept = kept
        self._accept = accept
        self._policy = policy
        self._secret = secret
        self._gateway_url = gateway_url
        self.problem = self.tenant_problem = ""
        self._content: CatalogContent | None = None
        self._adopt(load_apart(path))
        self._watcher = CatalogWatcher(path, self.catalog.version, self._adopt)
        self._say_faults()
        self._enter_load()

    def _enter_load(self) -> None:
        tenants, faults = sorted(self.catalog.tenants), sorted(self.catalog.faults)
        self._note(
            Action.CATALOG_LOADED, self.catalog.version, {"tenants": tenants, "faulty_tenants": faults}
        )

    def _adopt(self, catalog: Catalog) -> None:
        if self._accept is not None:
            self._accept(catalog)
        found = read(self._path, catalog)
        content = over(found, self._before(found.catalog.faults))
        catalog, sets = content
        tenants = {name: plan.spec for name, plan in catalog.tenants.items()}
        brought = attachments_of(catalog.tenants)
        renderer = Renderer(sets.shared, tenants, self._secret, sets.apart, brought, self._gateway_url)
        gate = Gate(catalog, self._policy)
        self._content, self.catalog, self._gate, self._render = content, catalog, gate, renderer.render
        if self._kept is not None:
            self._kept.keep(self._path, {name: tenant.version for name, tenant in catalog.tenants.items()})

    def _before(self, tenants: Iterable[str]) -> Mapping[str, CatalogContent]:
        """Return what tenants had before, at the start from disk."""
        if (content := self._content) is not None:
            return dict.fromkeys(content.catalog.tenants, content)
        found = {name: _read_kept(self._kept, name) for name in tenants}
        return {name: content for name, content in found.items() if content is not None}

    def _say_faults(self) -> None:
        """Log each tenant that has no or not the newest version, and keep the sentences for the probes."""
        found = [
            f"tenant {name} {self._instead(name)}; its new files have mistakes:\n{lines}"
            for name, lines in sorted(self.catalog.faults.items())
        ]
        self.tenant_problem = "\n".join(found)
        for sentence in found:
            _log.error("catalog %s: %s", self.catalog.version, sentence)

    def _instead(self, tenant: str) -> str:
        kept = self.catalog.tenants.get(tenant)
        return f"keeps catalog {kept.version}" if kept else "has no catalog, its events are dead letters"

    def gate(self) -> Gate:
        """Return the gate in force."""
        return self._gate

    def render(self, message: Message) -> Content:
        """Render by the templates in force; raises `RenderError`."""
        return self._render(message)

    def _found(self, now_ms: int) -> Reload:
        try:
            return self._watcher.poll(now_ms)
        except Exception as error:  # the flow's edge: whatever is wrong with a new catalog, the old one stays
            return Reload(problem=f"{_UNFORESEEN} ({kind_and_place(error)})")

    def poll(self, now_ms: int) -> None:
        """Reload the catalog if its files changed and pass all checks."""
        found = self._found(now_ms)
        if found.catalog is not None:
            _log.warning("catalog %s is in force", found.catalog.version)
            self._say_faults()
            self._enter_load()
        if found.catalog is not None or found.as_before:
            self.problem = ""
        if found.problem and found.problem != self.problem:
            self.problem = found.problem
            detail: dict[str, Fact] = {"mistakes": len(found.problem.splitlines())}
            self._note(Action.CATALOG_REFUSED, self.catalog.version, detail)
            _log.error("catalog %s stays; the new one has mistakes:\n%s", self.catalog.version, found.problem)


def _read_kept(kept: KeptCatalog | None, tenant: str) -> CatalogContent | None:
    """Read the last good catalog of a tenant; None if there is none that this release takes."""
    folder = kept.folder_of(tenant) if kept is not None else None
    if folder is None:
        return None
    try:
        content = read(folder, load_apart(folder))
    except CatalogError:
        return None
    return content if tenant in content.catalog.tenants.keys() - content.catalog.faults.keys() else None


def on_unknown_of(catalog: Callable[[], Catalog]) -> OnUnknown:
    """Say what a message's category wants after a provider call without an answer; None if it does not."""

    def of(message: Message) -> UnknownPolicy | None:
        tenant = catalog().tenant(message.tenant)
        category = tenant.categories.get(message.category) if tenant else None
        return category.on_unknown if category else None

    return of


def provider_order(
    catalog: Callable[[], Catalog], providers: Mapping[str, Provider], choice: Choice | None = None
) -> Callable[[Message], Sequence[Provider]]:
    """Give a message's providers: those its tenant names for the channel, in that order, that accept it.

    A tenant that names none gets every account of the channel, in the order of the accounts file. `choice`
    applies the accounts' conditions and weights.
    """
    order_of = choice.order if choice is not None else _as_given
    everyone: dict[str, tuple[str, ...]] = {}
    for name, provider in providers.items():
        everyone[provider.channel] = (*everyone.get(provider.channel, ()), name)

    def order(message: Message) -> Sequence[Provider]:
        spec = catalog().tenant(message.tenant)
        chosen: Mapping[Any, Sequence[str]] = spec.providers if spec else {}
        names = chosen.get(message.channel) or everyone.get(message.channel, ())
        found = [providers[name] for name in names if name in providers]
        return order_of(message, [provider for provider in found if provider.accepts(message)])

    return order


def _as_given(_: Message, providers: Sequence[Provider]) -> Sequence[Provider]:
    return providers
