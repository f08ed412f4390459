"""Form bodies as `multipart/form-data` (RFC 7578)."""

from collections.abc import Iterable
from typing import NamedTuple

_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class FormFile(NamedTuple):
    """A file of a form: the field's name, how the file is called, its media type and its content."""

    field: str
    name: str
    type: str
    content: bytes


def multipart_form(
    fields: Iterable[tuple[str, str]], seed: str, files: Iterable[FormFile] = ()
) -> tuple[str, bytes]:
    r"""Encode fields, some of them perhaps of the same name, and files; return content type and body.

    The boundary derives from `seed`, so the same fields are the same bytes; it occurs in no value.

    >>> kind, body = multipart_form([("to", "a@b.example")], "x")
    >>> kind, body.count(b"\r\n")
    ('multipart/form-data; boundary=form-x', 5)
    """
    parts = [
        f'Content-Disposition: form-data; name="{name.translate(_ESCAPED)}"\r\n\r\n{value}\r\n'.encode(
            "utf-8", "replace"
        )
        for name, value in fields
    ]
    parts += map(_of_file, files)
    boundary = f"form-{seed}"
    while any(boundary.encode() in part for part in parts):
        boundary += "-"
    line = f"--{boundary}".encode()
    body = b"".join([line + b"\r\n" + part for part in parts]) + line + b"--\r\n"
    return f"multipart/form-data; boundary={boundary}", body


def _of_file(file: FormFile) -> bytes:
    named = f'name="{file.field}"; filename="{file.name.translate(_ESCAPED)}"'
    head = f"Content-Disposition: form-data; {named}\r\nContent-Type: {file.type}\r\n\r\n"
    return head.encode("utf-8", "replace") + file.content + b"\r\n"
