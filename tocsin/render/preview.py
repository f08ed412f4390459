"""Shows notifications as their recipients see them: with the renderer of production, and without a server."""

import codecs
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import jinja2
import msgspec

from tocsin.catalog.catalog import Catalog
from tocsin.catalog.compiled import CompiledNotification, CompiledTenant
from tocsin.catalog.loader import load_apart
from tocsin.errors import PreviewError, RenderError
from tocsin.model.content import Content
from tocsin.model.locales import resolve
from tocsin.model.message import Message
from tocsin.render.failing_line import failing_line
from tocsin.render.measures import Measure, measured
from tocsin.render.mjml import MJML
from tocsin.render.preview_fields import MissingField, Reading, missing_fields, read_fields, unused_fields
from tocsin.render.renderer import Renderer, built
from tocsin.render.sample_message import SAMPLE_USER, sample_message
from tocsin.render.sandbox import sandbox
from tocsin.render.sets import TemplateSets, read_sets
from tocsin.render.templates import SUFFIX, chosen_parts, locales_of
from tocsin.render.uses import Use, uses_of

_SECRET: Final = b"only for previews"
"""Seals unsubscribe links; so a link of a preview unsubscribes nobody."""


class Asked(NamedTuple):
    """What to show.

    Attributes:
        tenant: whose catalog.
        notification: its name.
        channel: where it goes.
        locale: the recipient's language.
        use: the template, and whether it writes a digest.
        data: of the event.
        user: the recipient's id.
        timezone: the recipient's; empty for the tenant's.
    """

    tenant: str
    notification: str
    channel: str
    locale: str
    use: Use
    data: Any
    user: str = SAMPLE_USER
    timezone: str = ""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipient sees, or why there is nothing to see.

    Attributes:
        written_in: the language that the templates were found for.
        files: part -> the file that writes it.
        content: what the provider is handed; None if it cannot be rendered.
        problem: why not, with file and line.
        measures: figures of the content.
        missing: fields that a template uses and the data lacks.
    """

    notification: str
    channel: str
    locale: str
    template: str
    digest: bool = False
    written_in: str = ""
    files: dict[str, str] = {}
    content: Content | None = None
    problem: str = ""
    measures: list[Measure] = []
    missing: list[MissingField] = []

    @property
    def is_faulty(self) -> bool:
        """Whether it cannot be rendered, or lacks a field that its templates do not expect to be missing."""
        return bool(self.problem) or any(not field.optional for field in self.missing)

    @property
    def notes(self) -> list[str]:
        """Return what its writer should know."""
        return [measure.note for measure in self.measures if measure.note]


class Previewer:
    """Renders previews of one state of a catalog folder.

    Args:
        folder: the catalog.
        catalog: as loaded from it.

    Raises:
        CatalogError: a shared template file cannot be read.
    """

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.catalog = catalog
        self._folder = folder
        self._sets: TemplateSets = read_sets(folder, catalog.tenants)
        specs = {name: tenant.spec for name, tenant in catalog.tenants.items()}
        self._renderer = Renderer(self._sets.shared, specs, _SECRET, self._sets.apart)
        self._environments: dict[str, jinja2.Environment] = {}

    @classmethod
    def open(cls, folder: Path) -> "Previewer":
        """Load a catalog folder.

        Raises:
            CatalogError: a mistake in what tenants share, or in every tenant.
        """
        return cls(folder, load_apart(folder))

    def tenant(self, name: str) -> CompiledTenant:
        """Return a tenant.

        Raises:
            PreviewError: there is none of this name, or its files have mistakes.
        """
        found = self.catalog.tenants.get(name)
        if found is not None:
            return found
        if name in self.catalog.faults:
            msg = f"the files of tenant {name} have mistakes:\n{self.catalog.faults[name]}"
            raise PreviewError(msg, "tenant")
        raise _unknown(name, self.catalog.tenants, field="tenant")

    def notification(self, tenant: str, name: str) -> CompiledNotification:
        """Return a notification of a tenant.

        Raises:
            PreviewError: there is none of this name.
        """
        there = self.tenant(tenant).notifications
        if name in there:
            return there[name]
        users = [each.name for each in there.values() if name in {use.template for use in uses_of(each)}]
        if users:
            msg = f"{name} is a template; name a notification that uses it: {', '.join(users)}"
            raise PreviewError(msg, "notification", f"name one of: {', '.join(users)}")
        raise _unknown(name, there, field="notification")

    def uses(self, tenant: str, name: str) -> list[Use]:
        """List how a notification is written: by which templates, as a digest or singly.

        Raises:
            PreviewError: tenant or notification is not there.
        """
        return uses_of(self.notification(tenant, name))

    def channels(self, tenant: str, name: str, wanted: Iterable[str] = ()) -> list[str]:
        """List the channels of a notification, or those of them that are wanted.

        Raises:
            PreviewError: one that is wanted is none of them.
        """
        there = list(dict.fromkeys(each.name for each in self.notification(tenant, name).all_channels))
        chosen = list(wanted)
        for one in chosen:
            if one not in there:
                raise _unknown(one, there, field="channel", lacks=f"{name} has no")
        return chosen or there

    def locales(self, tenant: str, use: Use, wanted: Iterable[str] = ()) -> list[str]:
        """List the languages that a template has folders of, or those that are wanted.

        Raises:
            PreviewError: one that is wanted is no language tag.
        """
        chosen = list(wanted)
        for one in chosen:
            if not resolve(one):
                msg = f"{one!r} is no language; write it like de or de-AT"
                raise PreviewError(msg, "locale", "write a language like de or de-AT")
        if chosen:
            return [resolve(one) for one in chosen]
        there = locales_of(self._sets.of(tenant), use.template)
        return sorted(there) or [self.tenant(tenant).spec.locale]

    def samples(self, tenant: str, use: Use) -> list[Any]:
        """Read the samples of a template, as they are on disk now.

        Raises:
            PreviewError: there are none, or they are not JSON.
        """
        homes = (self._sets.home(tenant, use.template), "templates")
        files = [self._folder / home / use.sample for home in homes]
        file = next((each for each in files if each.is_file()), None)
        if file is None:
            msg = f"{homes[0]}/{use.sample} is missing: write {use.content} there"
            raise PreviewError(msg, "data")
        try:
            found = msgspec.json.decode(file.read_bytes().removeprefix(codecs.BOM_UTF8))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{file.relative_to(self._folder)}: not JSON: {error}"
            raise PreviewError(msg, "data") from None
        return found if isinstance(found, list) else [found]

    def preview(self, asked: Asked) -> Preview:
        """Render one notification for one channel and language.

        Raises:
            PreviewError: tenant, notification or channel is not there.
        """
        notification = self.notification(asked.tenant, asked.notification)
        self.channels(asked.tenant, asked.notification, [asked.channel])
        message = sample_message(
            self.tenant(asked.tenant),
            notification,
            asked.channel,
            asked.locale,
            asked.data,
            asked.use,
            user=asked.user,
            timezone=asked.timezone,
        )
        templates = self._sets.of(asked.tenant)
        languages = (asked.locale, self.tenant(asked.tenant).spec.locale)
        found = chosen_parts(templates, asked.use.template, asked.channel, languages)
        names = found.names if found else {}
        files = {name: self._file(asked.tenant, name) for name in templates}
        reading = self._reading(asked.tenant, names.values())
        content, problem, measures = self._rendered(message, asked)
        return Preview(
            notification=asked.notification,
            channel=asked.channel,
            locale=asked.locale,
            template=asked.use.template,
            digest=asked.use.digest,
            written_in=found.locale if found else "",
            files={part: files[name] for part, name in names.items()},
            content=content,
            problem=problem,
            measures=measures,
            missing=missing_fields(reading, asked.data, files),
        )

    def reads(self, tenant: str, template: str) -> dict[str, list[str]]:
        """List the fields of `data` that a template reads in any part and language, with file and line."""
        names = [name for name in self._sets.of(tenant) if name.startswith(f"{template}/")]
        return {
            ".".join(path): sorted({f"{self._file(tenant, name)}:{line}" for name, line in places})
            for path, places in self._reading(tenant, names).places.items()
        }

    def unused(self, asked: Sequence[Asked]) -> list[str]:
        """List fields of the data that none of some previews of one notification uses."""
        readings = []
        for each in asked:
            languages = (each.locale, self.tenant(each.tenant).spec.locale)
            found = chosen_parts(self._sets.of(each.tenant), each.use.template, each.channel, languages)
            readings.append(self._reading(each.tenant, found.names.values() if found else ()))
        return unused_fields(readings, asked[0].data) if asked else []

    def _reading(self, tenant: str, names: Iterable[str]) -> Reading:
        templates = self._sets.of(tenant)
        environment = self._environments.get(tenant)
        if environment is None:
            environment = self._environments[tenant] = sandbox(templates)
        return read_fields(environment, templates, names)

    def _rendered(self, message: Message, asked: Asked) -> tuple[Content | None, str, list[Measure]]:
        try:
            parts, carrying = self._renderer.parts(message)
            content = built(parts, carrying)
        except RenderError as error:
            place = self._place(asked.tenant, error)
            return None, f"{place}: {error}" if place else str(error), []
        return content, "", measured(asked.channel, parts, content)

    def _place(self, tenant: str, error: RenderError) -> str:
        """Name the file and line where rendering failed; empty where it was not in a template."""
        found = failing_line(error)
        if found is None:
            return ""
        file = self._file(tenant, found.template)
        return file if file.endswith(MJML + SUFFIX) else f"{file}:{found.line}"

    def _file(self, tenant: str, name: str) -> str:
        """Name the file of a template; HTML that was compiled from MJML has that file, and other lines."""
        source = name + MJML if name + MJML in self._sets.of(tenant) else name
        is_own = name in self._sets.own.get(tenant, frozenset())
        return f"{f'tenants/{tenant}/templates' if is_own else 'templates'}/{source}{SUFFIX}"


def _unknown(name: str, there: Iterable[str], *, field: str, lacks: str = "there is no") -> PreviewError:
    """Say that a name is none of those that there are."""
    names = ", ".join(there) or "none"
    return PreviewError(f"{lacks} {field} {name}; there are: {names}", field, f"name one of: {names}")


def asked_rows(
    previewer: Previewer, first: Asked, channels: Iterable[str], locales: Iterable[str]
) -> list[Asked]:
    """List the previews of a notification on some channels in some languages, in this order.

    Args:
        previewer: knows the catalog.
        first: what all have in common.
        channels: all of the notification if there is none.
        locales: all of the template if there is none.

    Raises:
        PreviewError: the notification has no such channel, or a language is no language tag.
    """
    tongues = previewer.locales(first.tenant, first.use, locales)
    return [
        first._replace(channel=channel, locale=locale)
        for channel in previewer.channels(first.tenant, first.notification, channels)
        for locale in tongues
    ]
