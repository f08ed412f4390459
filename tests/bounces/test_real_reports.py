"""Reports of real servers: what each said of an address, and that only a dead one is blocked.

Each was written by the server that its folder names. Its next hop answered as a script said, so that the
reason is known: the file's name tells it.
"""

import re
from pathlib import Path

import pytest

from tests.bounces.world import KEYS, REPORTS
from tocsin.bounces.returned import Result, Returned, understand
from tocsin.model.ids import target_id

LATER_MS = 2_000_000_000_000
DEAD = frozenset(
    {"unknown", "utf8", "gmailunknown", "plainunknown", "exchangeunknown", "dataunknown", "disabled"}
)
"""The next hop said that there is no such mailbox."""
UNKNOWN_HERE = frozenset({"nosuch-sender", "y-nodomain", "nullmx", "nomx"})
"""The reporting server itself knows no such user, or DNS no such domain, or none that takes mail."""
ALIVE = frozenset(
    {
        "full",
        "policy",
        "spam",
        "blocked",
        "big",
        "relay",
        "grey",
        "full452",
        "busy",
        "x-dead",
        "fulluser-sender",
        "datafull",
        "loop",
        "tls",
        "servfail",
        "reject-sender",
        "utf8full",
    }
)
"""Full, refused, too large, in a loop, or the queue's life was over."""
AWAY = frozenset({"vacation-sender"})
"""Its user is out of office."""
ALIASES = frozenset({"team-sender", "fwd-sender"})
"""Members of an alias are dead; the alias itself is not."""
FILES = sorted(REPORTS.glob("*/*.eml"))


def read(file: Path) -> Returned:
    return understand(file.read_bytes(), KEYS, LATER_MS)


def name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def expected(stem: str) -> Result:
    if stem.endswith("-delayed"):
        return Result.DELAYED
    if stem in AWAY:
        return Result.AUTO_REPLY
    assert stem in DEAD | UNKNOWN_HERE | ALIVE | ALIASES
    return Result.PERMANENT if stem in DEAD | UNKNOWN_HERE else Result.TRANSIENT


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_a_server_reports(file: Path) -> None:
    found = read(file)
    assert found.result is expected(file.stem)
    assert found.message_id, "its token names its message"


@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in AWAY], ids=name)
def test_a_report_is_about_the_message_that_it_returns(file: Path) -> None:
    found = read(file)
    assert found.named
    to = re.findall(r"^To: (\S+@(?!bounces)\S+)$", file.read_text("utf-8", "replace"), re.MULTILINE)[-1]
    assert found.named.target == target_id(to.strip("<>")), "its own message, not another"


def test_the_reports_are_of_many_servers() -> None:
    assert len({file.parent.name for file in FILES}) >= 11
    assert len(FILES) >= 200


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem in ("unknown", "full", "spam")], ids=name
)
def test_the_code_is_that_of_the_last_server(file: Path) -> None:
    wanted = {"unknown": "5.1.1", "full": "5.2.2", "spam": "5.7.1"}[file.stem]
    assert read(file).code == wanted, "Exim and OpenSMTPD write 5.0.0 in the field Status"


@pytest.mark.parametrize("file", [file for file in FILES if file.stem == "unknown"], ids=name)
def test_the_mark_alone_is_believed_and_nothing_less(file: Path) -> None:
    raw = file.read_bytes()
    without_token = re.sub(rb"bounce-[a-z2-7]{55}@", b"bounce@", raw)
    assert understand(without_token, KEYS, LATER_MS).result is Result.PERMANENT
    without_both = re.sub(rb"X-Tocsin-Mark: \S+\n", b"", without_token)
    assert understand(without_both, KEYS, LATER_MS).result is Result.NO_TOKEN
    without_mark = understand(re.sub(rb"X-Tocsin-Mark: \S+\n", b"", raw), KEYS, LATER_MS)
    assert (without_mark.result, without_mark.named) == (Result.PERMANENT, None)
    assert without_mark.message_id == read(file).message_id
