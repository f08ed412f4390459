"""Files of exports: their format by name, compression, and a file that is there whole or not at all."""

import contextlib
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from backports import zstd

from tocsin.errors import SettingsError

STDOUT = "-"
_NAME = re.compile(r".+\.(parquet|csv)(?:\.(gz|zst))?", re.DOTALL)
_GZIP = zlib.MAX_WBITS | 16
_ZSTD_LEVEL = 3


class Form(NamedTuple):
    """How a file is written: `parquet` or `csv`, and its compression: `gz`, `zst` or none."""

    kind: str
    compression: str = ""


class Compressor(Protocol):
    """Compresses bytes in order, as zlib and zstd both have it."""

    def compress(self, data: bytes) -> bytes:
        """Take the next bytes; give what is ready."""
        ...

    def flush(self) -> bytes:
        """Give the rest."""
        ...


class _Plain:
    """Passes bytes on."""

    def compress(self, data: bytes) -> bytes:
        """Give the bytes."""
        return data

    def flush(self) -> bytes:
        """Give nothing: nothing was kept."""
        return b""


def form_of(to: str) -> Form:
    """Read the form from a file's name; stdout gets CSV.

    Raises:
        SettingsError: the name has none of the endings; the text lists them.

    >>> form_of("out/rows.csv.zst"), form_of("rows.parquet")
    (Form(kind='csv', compression='zst'), Form(kind='parquet', compression=''))
    """
    if to == STDOUT:
        return Form("csv")
    found = _NAME.fullmatch(to)
    if not found or (found[1] == "parquet" and found[2]):
        msg = f"--to {to}: must end with .parquet, .csv, .csv.gz or .csv.zst, or be - for CSV on stdout"
        raise SettingsError(msg)
    return Form(found[1], found[2] or "")


def compressor(form: Form) -> Compressor:
    """Make the compressor of a file."""
    if form.compression == "gz":
        return zlib.compressobj(wbits=_GZIP)
    return zstd.ZstdCompressor(level=_ZSTD_LEVEL) if form.compression == "zst" else _Plain()


@contextlib.contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name at the end of the block, on disk, or never.

    Until then it is `.NAME.….part` beside it; only `kill -9` or power loss leaves that behind.

    Raises:
        SettingsError: the file exists and `force` is not given, or its folder cannot be written in.
    """
    if path.exists() and not force:
        msg = f"{path} exists; --force replaces it"
        raise SettingsError(msg)
    if not path.parent.is_dir():
        msg = f"{path}: there is no folder {path.parent}"
        raise SettingsError(msg)
    with _part_of(path) as file:
        part = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _part_of(path: Path) -> IO[bytes]:
    prefix, suffix = f".{path.name}.", ".part"
    try:
        return tempfile.NamedTemporaryFile(dir=path.parent, prefix=prefix, suffix=suffix, delete=False)
    except OSError as error:
        msg = f"{path}: cannot write in {path.parent}: {error.strerror}"
        raise SettingsError(msg) from error


def _umask() -> int:
    """Read the mask of new files; the system tells it only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
