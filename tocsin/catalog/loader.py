"""Loads a catalog folder: a frozen catalog, or every mistake at once, each as `file:line: what, cure`.

`load_apart` leaves out only the tenants whose mistakes they are. A tenant answers for its own file and
folder, and for the categories that it lacks.
"""

import re
from collections.abc import Collection, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import pydantic

from tocsin.catalog import attachments, sources
from tocsin.catalog.catalog import Candidates, Catalog
from tocsin.catalog.channels import channel_problems
from tocsin.catalog.compile import compile_tenant
from tocsin.catalog.content_check import OwnContent, notification_problems, tenant_problems
from tocsin.catalog.defaults import default_problems
from tocsin.catalog.files import Document, Problem, Where, read
from tocsin.catalog.hours import tenant_hours_problems
from tocsin.catalog.limit_check import limit_problems, own_limit_problems
from tocsin.catalog.overlays import Overlay, entry_problems, folder_problems, overlay_folders
from tocsin.catalog.schedules import Schedules, ScheduleSpec, compile_schedules, schedule_problems
from tocsin.catalog.sentences import place_of, sentence
from tocsin.catalog.sources import SourceSpec, source_problems
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.stray_files import stray_problems
from tocsin.catalog.webhooks import webhook_problems
from tocsin.errors import CatalogError
from tocsin.model.zones import ZONE_DATA

__all__ = ["Candidates", "Catalog", "check", "content_version", "declared_topics", "load", "load_apart"]
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_NAME_CURE = "use letters, digits, dot, dash and underscore, at most 64"
_SUFFIXES = (".yaml", ".yml", ".j2")
_Model = TypeVar("_Model", bound=pydantic.BaseModel)


def load(path: Path) -> Catalog:
    """Load a catalog folder.

    Raises:
        CatalogError: every mistake, one a line, each `file:line: what, cure`.
    """
    reading = _Reading(path)
    if reading.problems:
        raise CatalogError(_lines(reading.problems))
    return reading.catalog()


def load_apart(path: Path) -> Catalog:
    """Load a catalog folder; tenants with mistakes of their own are in `faults` and not in `tenants`.

    Raises:
        CatalogError: a mistake in what tenants share, or in every tenant; each `file:line: what, cure`.
    """
    reading = _Reading(path)
    shared = [problem for problem in reading.problems if not problem.tenant]
    if shared or reading.tenants.keys() <= {problem.tenant for problem in reading.problems}:
        raise CatalogError(_lines(reading.problems))
    return reading.catalog()


def _lines(problems: list[Problem]) -> str:
    return "\n".join(str(problem) for problem in problems)


def check(path: Path) -> list[Problem]:
    """List every mistake of a catalog folder, in the order of files and lines."""
    return _Reading(path).problems


class Entry(NamedTuple):
    """Holds one notification as it is written.

    Attributes:
        name: of the notification.
        notice: what is written.
        document: the file.
        home: the folder of the tenant that it belongs to, as in `tenants/acme/`; empty if all share it.
    """

    name: str
    notice: NotificationSpec
    document: Document
    home: str


def entries(path: Path) -> list[Entry]:
    """List the notifications of a catalog folder that are written without mistakes."""
    return _Reading(path).entries()


def declared_topics(path: Path) -> dict[str, str]:
    """Return the format of each topic that `sources.yaml` declares, whatever else is wrong with it."""
    file = path / sources.FILE
    data = read(file, sources.FILE)[0].data if file.is_file() else None
    found = data.items() if isinstance(data, dict) else ()
    return {topic: str(spec.get("format", "")) if isinstance(spec, dict) else "" for topic, spec in found}


def content_version(path: Path) -> str:
    """Name this catalog in outcomes: 12 hex digits, the hash of its files, and the release of the zone data.

    Both decide when a message leaves. A shard with another tzdata package shows in its outcomes.
    """
    total = blake2b(digest_size=6)
    for file in catalog_files(path):
        content = file.read_bytes()
        total.update(f"{file.relative_to(path).as_posix()}:{len(content)}:".encode())
        total.update(content)
    return f"{total.hexdigest()}-tz{ZONE_DATA}"


def catalog_files(path: Path) -> list[Path]:
    """List the files of a catalog folder that are content, sorted: notes beside them are none."""
    return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())


def _template_folders(path: Path) -> set[str]:
    return {item.name for item in (path / "templates").glob("*") if item.is_dir()}


class _Reading:
    """One pass over a folder: the specs that hold, and every problem.

    Attributes:
        problems: every mistake, in the order of files and lines.
        tenants: settings of the tenants without mistakes in their own file.
        notifications: those that all tenants share.
        overlays: what tenants have of their own.
        schedules: the recurring schedules.
        sources: the declared topics.
        tenant_names: all tenants, those with mistakes included.
        templates: names of the shared folders of templates.
    """

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self.tenants: dict[str, TenantSpec] = {}
        self.notifications: dict[str, NotificationSpec] = {}
        self.overlays: dict[str, Overlay] = {}
        self.schedules = Schedules()
        self.sources: dict[str, SourceSpec] = {}
        self._path = path
        self._places: dict[str, Document] = {}
        self._tenant_files: dict[str, Document] = {}
        self.tenant_names: set[str] = set()
        self._unread: set[str] = set()
        self.templates = _template_folders(path)
        if path.is_dir():
            self._read_files()
            self._check_between_files()
        else:
            cure = "there is no such folder; name the catalog's folder by TOCSIN_CATALOG or --catalog"
            self.problems.append(Problem(str(path), 0, cure))
        self.problems = sorted(set(self.problems))

    def _read_files(self) -> None:
        """Read and check each file by itself. What tenants have of their own needs what all share."""
        self.problems += stray_problems(self._path)
        for document in self._documents("tenants"):
            self._tenant(document)
        for document in self._documents("notifications"):
            self._notifications_of(document)
        shared = self._schedules_of("schedules", "")
        self.schedules.shared = {name: spec for name, spec in shared.items() if spec is not None}
        for folder in overlay_folders(self._path):
            self._overlay(folder)
        self._read_sources(self._path / sources.FILE)

    def _check_between_files(self) -> None:
        """Check what files say of each other."""
        for name, notice in self.notifications.items():
            self.problems += own_limit_problems(self._places[name], name, notice)
            self.problems += notification_problems(self._places[name], name, notice, self)
            self.problems += self._of_attachments(self._places[name], name, notice, "")
        for tenant, spec in self.tenants.items():
            known = self._all_of(tenant)
            self.problems += default_problems(self._tenant_files[tenant], spec, known)
            self.problems += webhook_problems(self._tenant_files[tenant], spec.webhooks, known)
        complete = "schedules" not in self._unread
        self.problems += schedule_problems(
            self.schedules, self.tenants, self.tenant_names, self._all_of, complete=complete
        )

    def entries(self) -> list[Entry]:
        """List the shared notifications, then those of single tenants."""
        shared = [Entry(name, spec, self._places[name], "") for name, spec in self.notifications.items()]
        own = [
            Entry(name, spec, overlay.places[name], f"tenants/{tenant}/")
            for tenant, overlay in self.overlays.items()
            for name, spec in overlay.notifications.items()
            if spec is not None
        ]
        return shared + own

    def catalog(self) -> Catalog:
        """Compile the tenants without mistakes."""
        version, faults = content_version(self._path), self._faults()
        tenants = {
            name: msgspec.structs.replace(
                compile_tenant(name, spec, self.notifications_of(name), version),
                schedules=compile_schedules(name, spec, self.schedules.of(name)),
            )
            for name, spec in self.tenants.items()
            if name not in faults
        }
        return Catalog(version, tenants, self.sources, faults)

    def _faults(self) -> dict[str, str]:
        tenants = {problem.tenant for problem in self.problems}
        return {name: _lines([one for one in self.problems if one.tenant == name]) for name in tenants}

    def notifications_of(self, tenant: str) -> dict[str, NotificationSpec]:
        """Return the notifications of a tenant, its own over the shared ones."""
        overlay = self.overlays.get(tenant)
        return overlay.over(self.notifications) if overlay else self.notifications

    def _all_of(self, tenant: str) -> dict[str, NotificationSpec] | None:
        """Return the notifications of a tenant; None where some could not be read."""
        unread = {"notifications", f"tenants/{tenant}/notifications"} & self._unread
        return None if unread else self.notifications_of(tenant)

    def replaced(self, tenant: str) -> Collection[str]:
        """Name the shared notifications that a tenant replaces or takes away."""
        return self.overlays[tenant].notifications if tenant in self.overlays else ()

    def _overlay(self, folder: Path) -> None:
        """Read what a tenant has of its own; nothing in it is a mistake of another tenant."""
        tenant = folder.name
        self.problems += folder_problems(folder, self.tenant_names)
        templates = _template_folders(folder)
        own = self.overlays[tenant] = Overlay({}, {}, templates)
        only = {tenant: self.tenants[tenant]} if tenant in self.tenants else {}
        known = OwnContent({tenant}, only, self.templates | templates)
        for document in self._documents(f"tenants/{tenant}/notifications", optional=True):
            self._entries(document, own.notifications, own.places, NotificationSpec, may_remove=True)
        self.schedules.own[tenant] = self._schedules_of(f"tenants/{tenant}/schedules", tenant)
        shared = None if "notifications" in self._unread else self.notifications
        for name, spec in own.notifications.items():
            document = own.places[name]
            self.problems += entry_problems(document, name, spec, shared)
            if spec is not None:
                self.problems += notification_problems(document, name, spec, known)
                self.problems += self._of_attachments(document, name, spec, f"tenants/{tenant}/")

    def _of_attachments(
        self, document: Document, name: str, notice: NotificationSpec, home: str
    ) -> Iterator[Problem]:
        template, channels = notice.template or name, {use.channel for use in notice.channels}
        channels |= {channel for step in notice.escalate for channel in step.channels}
        places = [self._path / home / "templates" / template, self._path / "templates" / template]
        return attachments.attachment_problems(
            document, name, notice.attachments, channels, self._path, places
        )

    def _documents(self, kind: str, *, optional: bool = False) -> Iterator[Document]:
        files = [file for file in catalog_files(self._path / kind) if file.suffix != ".j2"]
        if kind == "tenants":
            files = [file for file in files if file.parent.name == kind]
        if not files and not optional:
            self.problems.append(Problem(f"{kind}/", 1, f"no {kind}, write at least one .yaml file there"))
        for file in files:
            document, problems = read(file, file.relative_to(self._path).as_posix())
            self.problems += problems
            if not problems:
                yield document
                continue
            self._unread.add(kind)
            if kind == "tenants":
                self.tenant_names.add(file.stem)

    def _tenant(self, document: Document) -> None:
        name = Path(document.file).stem
        if not _NAME.match(name):
            self.problems.append(document.problem((), f"`{name}` is no tenant name, {_NAME_CURE}"))
        self.tenant_names.add(name)
        spec = self._validated(TenantSpec, document, (), document.data)
        if spec is not None:
            self.tenants[name], self._tenant_files[name] = spec, document
            self.problems += tenant_problems(document, spec)
            self.problems += limit_problems(document, ("limits",), spec.limits or ())
            self.problems += channel_problems(document, spec)
            self.problems += tenant_hours_problems(document, spec)

    def _notifications_of(self, document: Document) -> None:
        found: dict[str, NotificationSpec | None] = dict(self.notifications)
        self._entries(document, found, self._places, NotificationSpec)
        self.notifications = {name: spec for name, spec in found.items() if spec is not None}

    def _schedules_of(self, kind: str, tenant: str) -> dict[str, ScheduleSpec | None]:
        """Read a folder of schedules: of a tenant, or those of all."""
        found: dict[str, ScheduleSpec | None] = {}
        places: dict[str, Document] = {}
        for document in self._documents(kind, optional=True):
            self._entries(document, found, places, ScheduleSpec, may_remove=bool(tenant))
        self.schedules.places.update({(tenant, name): place for name, place in places.items()})
        return found

    def _entries(
        self,
        document: Document,
        found: dict[str, _Model | None],
        places: dict[str, Document],
        model: type[_Model],
        *,
        may_remove: bool = False,
    ) -> None:
        """Read the entries of a file into `found`."""
        if not isinstance(document.data, dict) or not document.data:
            what = (
                "schedules, write `name: {cron:"
                if model is ScheduleSpec
                else "notifications, write `name: {on:"
            )
            self.problems.append(document.problem((), f"no {what} …}}` here"))
            return
        for name, data in document.data.items():
            where = (name,)
            if not _NAME.match(name):
                self.problems.append(document.problem(where, f"`{name}` is no name, {_NAME_CURE}"))
            if name in places:
                first = places[name].problem(where, "")
                text = f"`{name}` is already in {first.file}:{first.line}, rename one"
                self.problems.append(document.problem(where, text))
            removes = may_remove and data is None
            spec = None if removes else self._validated(model, document, where, data)
            if removes or spec is not None:
                found[name], places[name] = spec, document
            else:
                self._unread.add(Path(document.file).parent.as_posix())

    def _read_sources(self, file: Path) -> None:
        other = file.with_suffix(".yml")
        if other.exists():
            self.problems.append(Problem(other.name, 1, f"nobody reads this name, call it {sources.FILE}"))
        if not file.is_file():
            return
        document, problems = read(file, sources.FILE)
        self.problems += problems
        if document.data is not None and not isinstance(document.data, dict):
            self.problems.append(document.problem((), "no topics, write `topic: {format: …}` here"))
            return
        for topic, data in (document.data or {}).items():
            spec = self._validated(SourceSpec, document, (topic,), data)
            if spec is not None:
                self.sources[topic] = spec
                self.problems += source_problems(document, topic, spec, self.tenant_names)

    def _validated(self, model: type[_Model], document: Document, where: Where, data: Any) -> _Model | None:
        try:
            return model.model_validate(data if data is not None else {})
        except pydantic.ValidationError as error:
            for fault in error.errors(include_url=False):
                text = sentence(model, where, fault)
                self.problems.append(document.problem(place_of(where, fault), text))
            return None
