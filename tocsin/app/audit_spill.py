"""Spills facts to disk, in parts that fit into memory: facts of one key are in one part, in their order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from tocsin.app.audit_facts import Fact

BUFFERED: Final = 50_000
"""Facts in memory before they are written: some 25 MB."""
PART: Final = 100_000
"""Facts that a part should have: some 60 MB while it is judged."""
_encode = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(Fact).decode_lines


class Spill:
    """Facts by key, in memory or in files of one folder.

    Args:
        folder: where the files go; None to keep all in memory.
        parts: how many parts there are.
        buffered: facts in memory before they are written; 0 for `BUFFERED`.
    """

    def __init__(self, folder: Path | None = None, parts: int = 1, buffered: int = 0) -> None:
        self._folder = folder
        self._buffered = buffered or BUFFERED
        self._parts: list[list[Fact]] = [[] for _ in range(parts)]
        self._waiting = 0
        self.count = 0
        if folder is not None:
            folder.mkdir(parents=True)

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, fact: Fact, key: str = "") -> None:
        """Add a fact to the part of its key, or of a given key."""
        self._parts[crc32((key or fact.key).encode("utf-8", "surrogatepass")) % len(self._parts)].append(fact)
        self.count += 1
        self._waiting += 1
        if self._waiting >= self._buffered and self._folder is not None:
            self._write(self._folder)

    def _write(self, folder: Path) -> None:
        for number, facts in enumerate(self._parts):
            if facts:
                with (folder / str(number)).open("ab") as file:
                    file.write(_encode(facts))
                facts.clear()
        self._waiting = 0

    def read(self, number: int) -> Iterator[Fact]:
        """Read a part in the order of its facts."""
        file = None if self._folder is None else self._folder / str(number)
        if file is not None and file.exists():
            yield from _decode(file.read_bytes())
        yield from list(self._parts[number])


def parts_for(facts: int) -> int:
    """Return how many parts hold so many facts.

    >>> parts_for(0), parts_for(1_000_000)
    (1, 10)
    """
    return max(1, -(-facts // PART))
