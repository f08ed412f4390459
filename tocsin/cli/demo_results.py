"""Reads what a demo left in its folder: which calls the sandbox accepted, and why shards gave up."""

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

_GAVE_UP: Final = "✗ "


class _Sent(msgspec.Struct):
    message_id: str = ""


def refusals(logs: Path) -> list[str]:
    """Tell in a line for each shard why it gave up last; none for one that did not."""
    told = ((file.stem, file.read_text(errors="replace").splitlines()) for file in sorted(logs.glob("*.log")))
    ends = ((shard, [line for line in lines if line.startswith(_GAVE_UP)]) for shard, lines in told)
    return [f"  {shard}: {whys[-1].removeprefix(_GAVE_UP)}" for shard, whys in ends if whys]


def sends(folder: Path) -> Counter[str]:
    """Count the provider calls that the sandbox accepted, by message id (law 5).

    A line that a kill of the sandbox tore is of a call that it never answered nor processed further.
    """
    lines = (folder / "sent.jsonl").read_bytes().splitlines() if (folder / "sent.jsonl").exists() else []
    counted = Counter(map(_message_id, lines))
    counted.pop("", None)
    return counted


def _message_id(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Sent).message_id
    except msgspec.DecodeError:
        return ""
