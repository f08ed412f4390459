"""The templates of a catalog: those that tenants share, and the whole set of each tenant that has its own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tocsin.errors import CatalogError
from tocsin.render.mjml import MJML
from tocsin.render.templates import load_templates, own_templates


class TemplateSets(NamedTuple):
    """Holds all templates of a catalog.

    Attributes:
        shared: the templates of every tenant without its own.
        apart: tenant -> all its templates: the shared ones with its own over them.
        own: tenant -> the names of its own among them.
        faults: tenant -> mistakes that are its alone, each with file and line.
    """

    shared: Mapping[str, str]
    apart: dict[str, Mapping[str, str]]
    own: dict[str, frozenset[str]]
    faults: dict[str, list[str]]

    def of(self, tenant: str) -> Mapping[str, str]:
        """Return all templates of a tenant."""
        return self.apart.get(tenant, self.shared)

    def home(self, tenant: str, template: str) -> str:
        """Return the folder of the catalog in which a tenant has a template: its own or the shared one."""
        has_own = any(name.startswith(f"{template}/") for name in self.own.get(tenant, ()))
        return f"tenants/{tenant}/templates" if has_own else "templates"


def read_sets(catalog: Path, tenants: Iterable[str]) -> TemplateSets:
    """Read the templates of a catalog; a tenant's own that cannot be read are its fault.

    Raises:
        CatalogError: a shared file is not UTF-8.
    """
    found = TemplateSets(load_templates(catalog / "templates"), {}, {}, {})
    for tenant in tenants:
        try:
            own = own_templates(catalog, tenant)
        except CatalogError as error:
            found.faults[tenant] = [str(error)]
            continue
        if own:
            # A part of the tenant's own in HTML replaces a shared one that was written in MJML, too.
            shared = {name: text for name, text in found.shared.items() if name.removesuffix(MJML) not in own}
            found.apart[tenant], found.own[tenant] = {**shared, **own}, frozenset(own)
    return found
