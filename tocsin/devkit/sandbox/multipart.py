"""Reads `multipart/form-data` strictly: what a client wrote, byte for byte."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from tocsin.devkit.sandbox.wire import Form

_BOUNDARY = re.compile(r'multipart/form-data;\s*boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?')
_NAME = re.compile(
    rb'(?im)^content-disposition:\s*form-data;\s*name="([^"\r\n]*)"(?:;\s*filename="([^"\r\n]*)")?'
)
_TYPE = re.compile(rb"(?im)^content-type:\s*([^\r\n]+)")


class FilePart(NamedTuple):
    """A file of a form."""

    field: str
    name: str
    type: str
    content: bytes


def multipart_of(content_type: str, body: bytes) -> Form | None:
    r"""Read the fields of a form; None if it is not one.

    >>> part = b'Content-Disposition: form-data; name="a"\r\n\r\nx'
    >>> multipart_of("multipart/form-data; boundary=b", b"--b\r\n" + part + b"\r\n--b--\r\n")
    {'a': ['x']}
    """
    parts = _parts(content_type, body)
    if parts is None:
        return None
    form: Form = {}
    for part in parts:
        if not part.name:
            form.setdefault(part.field, []).append(part.content.decode("utf-8", "replace"))
    return form


def files_of(content_type: str, body: bytes) -> list[FilePart]:
    """List the files of a form; none if it is not one."""
    return [part for part in _parts(content_type, body) or () if part.name]


def _parts(content_type: str, body: bytes) -> list[FilePart] | None:
    found = _BOUNDARY.fullmatch(content_type)
    if not found:
        return None
    line = b"\r\n--" + found[1].encode()
    first, *parts = (b"\r\n" + body).split(line)
    if first or not parts or parts.pop().strip() != b"--":
        return None
    read = [_part(part) for part in parts]
    return None if None in read else [part for part in read if part is not None]


def _part(part: bytes) -> FilePart | None:
    head, blank, value = part.partition(b"\r\n\r\n")
    name, kind = _NAME.search(head), _TYPE.search(head)
    if not name or not blank or not head.startswith(b"\r\n"):
        return None
    field, file = [unquote((text or b"").decode("utf-8", "replace")) for text in name.groups()]
    return FilePart(field, file, kind[1].decode("latin-1") if kind else "", value)
