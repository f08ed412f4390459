"""Attachments of a notification's e-mails: files of the catalog, and addresses from which they are fetched.

    invoice_ready:
      channels: [email]
      attachments:
        - {file: terms.pdf}                                     # catalog/attachments/terms.pdf
        - {file: logo.png, cid: logo}                           # <img src="cid:logo"> in the template
        - url: "https://files.shop.example/{{ data.invoice }}"  # a template, as are names
          name: "invoice-{{ data.invoice }}.pdf"
          type: application/pdf

Nothing of them is in events, messages or outcomes: a sender reads or fetches them when it sends the mail.
"""

import mimetypes
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Protocol

import jinja2
from pydantic import BaseModel, StringConstraints, model_validator

from tocsin.catalog.files import Document, Problem, Where
from tocsin.catalog.sandbox import Sandbox
from tocsin.catalog.scalars import STRICT
from tocsin.model.statuses import Channel

FOLDER: Final = "attachments"
MAX_ATTACHMENT_BYTES: Final = 7_000_000
"""Of one attachment. Many mail servers take 10 MB, and base64 makes a third more of it."""
MOST: Final = 10
_CID: Final = re.compile(r"\bcid:([A-Za-z0-9._-]+)")
_FILE: Final = r"^[A-Za-z0-9_-][A-Za-z0-9 ._-]*(/[A-Za-z0-9_-][A-Za-z0-9 ._-]*)*$"
MEDIA_TYPE: Final = r"^[a-z]+/[A-Za-z0-9][A-Za-z0-9.+_-]*$"


class AttachmentSpec(BaseModel):
    """One attachment: a file of the catalog, or the address of one. `url` and `name` are templates.

    With a `cid` it is an image that the mail's HTML shows by that name, and no attachment of its own.
    """

    model_config = STRICT

    file: Annotated[str, StringConstraints(pattern=_FILE, max_length=200)] | None = None
    url: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = None
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = ""
    type: Annotated[str, StringConstraints(pattern=MEDIA_TYPE)] = ""
    cid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = ""

    @model_validator(mode="after")
    def _one_source(self) -> "AttachmentSpec":
        if (self.file is None) == (self.url is None):
            msg = "it needs a `file` or a `url`: write one of the two"
            raise ValueError(msg)
        return self

    @property
    def file_name(self) -> str:
        """Return the template of its name: its own, that of the file, or the end of the URL's path."""
        path = (self.file or self.url or "").partition("?")[0]
        return self.name or path.rpartition("/")[2] or "attachment"

    @property
    def media_type(self) -> str:
        """Return its media type, guessed from the name unless it is given; empty if that tells nothing."""
        return self.type or mimetypes.guess_type(self.file_name, strict=True)[0] or ""


class _Tenant(Protocol):
    """What is read of a compiled tenant."""

    @property
    def notifications(self) -> Mapping[str, "_Notification"]:
        """Return its notifications by name."""
        ...


class _Notification(Protocol):
    @property
    def attachments(self) -> Sequence[AttachmentSpec]:
        """Return what its e-mails bring."""
        ...


def attachment_problems(
    document: Document,
    name: str,
    attachments: Sequence[AttachmentSpec],
    channels: set[str],
    catalog: Path,
    templates: Sequence[Path],
) -> Iterator[Problem]:
    """Find mistakes in the attachments of a notification.

    Args:
        document: the file it stands in.
        name: of the notification.
        attachments: its attachments.
        channels: that it uses, at first or later.
        catalog: the catalog's folder.
        templates: folders in which its template may be, the first that exists counts.
    """
    if attachments and Channel.EMAIL not in channels:
        text = "`attachments` go with e-mails, and `email` is none of its channels: add it or remove them"
        yield document.problem((name, "attachments"), text)
    if len(attachments) > MOST:
        yield document.problem((name, "attachments"), f"more than {MOST} attachments, remove some")
    for at, spec in enumerate(attachments):
        where = (name, "attachments", at)
        yield from _of_source(document, where, spec, catalog)
        yield from _of_templates(document, where, spec)
        if not spec.media_type:
            text = "its name does not tell its media type, add `type`, as in `type: application/pdf`"
            yield document.problem(where, text)
    yield from _of_cids(document, name, attachments, templates)


def _of_source(document: Document, where: Where, spec: AttachmentSpec, catalog: Path) -> Iterator[Problem]:
    if spec.url is not None:
        if not spec.url.startswith(("https://", "http://", "{{")):
            yield document.problem((*where, "url"), "`url` must begin with https:// or be a `{{ … }}`")
        return
    path = catalog / FOLDER / str(spec.file)
    if not path.is_file():
        text = f"there is no {FOLDER}/{spec.file} in the catalog, put the file there"
        yield document.problem((*where, "file"), text)
    elif (size := path.stat().st_size) > MAX_ATTACHMENT_BYTES:
        text = f"{FOLDER}/{spec.file} has {size:,} bytes, at most {MAX_ATTACHMENT_BYTES:,} go with a mail"
        yield document.problem((*where, "file"), text)


def _of_templates(document: Document, where: Where, spec: AttachmentSpec) -> Iterator[Problem]:
    for field, source in (("url", spec.url), ("name", spec.name)):
        try:
            Sandbox().parse(source or "")
        except jinja2.TemplateSyntaxError as error:
            yield document.problem((*where, field), f"`{field}` is no template: {error.message}")


def _of_cids(
    document: Document, name: str, attachments: Sequence[AttachmentSpec], templates: Sequence[Path]
) -> Iterator[Problem]:
    """Hold the images of the mail's HTML against the attachments that bring them."""
    cids = [spec.cid for spec in attachments]
    for at, cid in enumerate(cids):
        if cid and cid in cids[:at]:
            yield document.problem((name, "attachments", at, "cid"), f"`{cid}` appears twice, rename one")
    shown = _shown(templates)
    for cid in sorted(shown - set(cids)):
        text = f"the template shows `cid:{cid}`, and no attachment has it, add one with `cid: {cid}`"
        yield document.problem((name,), text)


def _shown(templates: Sequence[Path]) -> set[str]:
    # A name that no file system takes is no folder: pathlib would raise.
    folder = next((folder for folder in templates if os.path.isdir(folder)), None)
    files = folder.rglob("html*.j2") if folder else ()
    return {cid for file in files for cid in _CID.findall(file.read_text("utf-8", "replace"))}


def attachments_of(tenants: Mapping[str, _Tenant]) -> dict[str, dict[str, Sequence[AttachmentSpec]]]:
    """List what the e-mails of each tenant's notifications bring; only of those that bring something."""
    found = {
        tenant: {name: each.attachments for name, each in spec.notifications.items() if each.attachments}
        for tenant, spec in tenants.items()
    }
    return {tenant: own for tenant, own in found.items() if own}
