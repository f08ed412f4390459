"""Reads a catalog folder: the specs that hold, and every mistake in its files and between them."""

from collections.abc import Collection, Iterator
from pathlib import Path

from tocsin.catalog import attachments, sources
from tocsin.catalog.channels import channel_problems
from tocsin.catalog.content_check import OwnContent, notification_problems, tenant_problems
from tocsin.catalog.content_files import catalog_files, template_folders
from tocsin.catalog.defaults import default_problems
from tocsin.catalog.entry_files import NAME, NAME_CURE, Model, read_entries, validated
from tocsin.catalog.files import Document, Problem, read
from tocsin.catalog.hours import tenant_hours_problems
from tocsin.catalog.limit_check import limit_problems, own_limit_problems
from tocsin.catalog.overlays import Overlay, entry_problems, folder_problems, overlay_folders
from tocsin.catalog.schedules import Schedules, ScheduleSpec, schedule_problems
from tocsin.catalog.sources import SourceSpec, source_problems
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.stray_files import stray_problems
from tocsin.catalog.webhooks import webhook_problems


class CatalogReading:
    """One pass over a folder: the specs that hold, and every problem.

    Attributes:
        problems: every mistake, in the order of files and lines.
        tenants: settings of the tenants without mistakes in their own file.
        notifications: those that all tenants share.
        places: name of a shared notification -> its file.
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
        self.places: dict[str, Document] = {}
        self._tenant_files: dict[str, Document] = {}
        self.tenant_names: set[str] = set()
        self._unread: set[str] = set()
        self.templates = template_folders(path)
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
            self.problems += own_limit_problems(self.places[name], name, notice)
            self.problems += notification_problems(self.places[name], name, notice, self)
            self.problems += self._of_attachments(self.places[name], name, notice, "")
        for tenant, spec in self.tenants.items():
            known = self._all_of(tenant)
            self.problems += default_problems(self._tenant_files[tenant], spec, known)
            self.problems += webhook_problems(self._tenant_files[tenant], spec.webhooks, known)
        complete = "schedules" not in self._unread
        self.problems += schedule_problems(
            self.schedules, self.tenants, self.tenant_names, self._all_of, complete=complete
        )

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
        templates = template_folders(folder)
        own = self.overlays[tenant] = Overlay({}, {}, templates)
        only = {tenant: self.tenants[tenant]} if tenant in self.tenants else {}
        known = OwnContent({tenant}, only, self.templates | templates)
        for document in self._documents(f"tenants/{tenant}/notifications", optional=True):
            self._read_entries(document, own.notifications, own.places, NotificationSpec, may_remove=True)
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
        if not NAME.match(name):
            self.problems.append(document.problem((), f"`{name}` is no tenant name, {NAME_CURE}"))
        self.tenant_names.add(name)
        spec = validated(TenantSpec, document, (), document.data, self.problems)
        if spec is not None:
            self.tenants[name], self._tenant_files[name] = spec, document
            self.problems += tenant_problems(document, spec)
            self.problems += limit_problems(document, ("limits",), spec.limits or ())
            self.problems += channel_problems(document, spec)
            self.problems += tenant_hours_problems(document, spec)

    def _notifications_of(self, document: Document) -> None:
        found: dict[str, NotificationSpec | None] = dict(self.notifications)
        self._read_entries(document, found, self.places, NotificationSpec)
        self.notifications = {name: spec for name, spec in found.items() if spec is not None}

    def _schedules_of(self, kind: str, tenant: str) -> dict[str, ScheduleSpec | None]:
        """Read a folder of schedules: of a tenant, or those of all."""
        found: dict[str, ScheduleSpec | None] = {}
        places: dict[str, Document] = {}
        for document in self._documents(kind, optional=True):
            self._read_entries(document, found, places, ScheduleSpec, may_remove=bool(tenant))
        self.schedules.places.update({(tenant, name): place for name, place in places.items()})
        return found

    def _read_entries(
        self,
        document: Document,
        found: dict[str, Model | None],
        places: dict[str, Document],
        model: type[Model],
        *,
        may_remove: bool = False,
    ) -> None:
        """Read the entries of a file into `found`, and remember a folder that has more than could be read."""
        if not read_entries(document, found, places, model, self.problems, may_remove=may_remove):
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
            spec = validated(SourceSpec, document, (topic,), data, self.problems)
            if spec is not None:
                self.sources[topic] = spec
                self.problems += source_problems(document, topic, spec, self.tenant_names)
