"""The catalog in force. Gate and renderer are rebuilt when its files change and pass all checks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tocsin.catalog.loader import Catalog, load
from tocsin.catalog.watch import CatalogWatcher, Reload
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.delivery.executor import OnUnknown
from tocsin.model.content import Content
from tocsin.model.message import Message
from tocsin.providers.base import Provider
from tocsin.render.check import sound_templates
from tocsin.render.renderer import Renderer

_log = logging.getLogger("tocsin.catalog")


class CatalogInForce:
    """Keeps the gate and the renderer of the present catalog.

    A reload that fails keeps the old content; `problem` then describes the new one's mistakes. One thread may
    poll while others decide: they read single attributes.

    Raises:
        CatalogError: the catalog at the start has mistakes; the text names file, line and cure.
    """

    def __init__(self, path: Path, policy: GatePolicy, secret: bytes) -> None:
        self._path = path
        self._policy = policy
        self._secret = secret
        self.problem = ""
        self._adopt(load(path))
        self._watcher = CatalogWatcher(path, self.catalog.version, self._adopt)

    def _adopt(self, catalog: Catalog) -> None:
        templates = sound_templates(self._path / "templates", catalog.tenants)
        tenants = {name: plan.spec for name, plan in catalog.tenants.items()}
        renderer, gate = Renderer(templates, tenants, self._secret), Gate(catalog, self._policy)
        self.catalog, self._gate, self._render = catalog, gate, renderer.render

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
            return Reload(problem=f"the new one cannot be put in force: {type(error).__name__}")

    def poll(self, now_ms: int) -> None:
        """Reload the catalog if its files changed and pass all checks."""
        found = self._found(now_ms)
        if found.catalog is not None:
            _log.warning("catalog %s is in force", found.catalog.version)
        if found.catalog is not None or found.as_before:
            self.problem = ""
        if found.problem and found.problem != self.problem:
            self.problem = found.problem
            _log.error("catalog %s stays; the new one has mistakes:\n%s", self.catalog.version, found.problem)


def on_unknown_of(catalog: Callable[[], Catalog]) -> OnUnknown:
    """Say what a message's category wants after a provider call without an answer; None if it does not."""

    def of(message: Message) -> Literal["resend", "drop"] | None:
        tenant = catalog().tenant(message.tenant)
        category = tenant.categories.get(message.category) if tenant else None
        return category.on_unknown if category else None

    return of


def provider_order(
    catalog: Callable[[], Catalog], providers: Mapping[str, Provider]
) -> Callable[[Message], Sequence[Provider]]:
    """Give a message's providers: those its tenant names for the channel, in that order, that accept it.

    A tenant that names none gets every account of the channel, in the order of the accounts file.
    """
    everyone: dict[str, tuple[str, ...]] = {}
    for name, provider in providers.items():
        everyone[provider.channel] = (*everyone.get(provider.channel, ()), name)

    def order(message: Message) -> Sequence[Provider]:
        spec = catalog().tenant(message.tenant)
        chosen: Mapping[Any, Sequence[str]] = spec.providers if spec else {}
        names = chosen.get(message.channel) or everyone.get(message.channel, ())
        found = [providers[name] for name in names if name in providers]
        return [provider for provider in found if provider.accepts(message)]

    return order
