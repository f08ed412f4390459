"""Small histories: what came back of messages that are not sent, the page, and folders that are none."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from flows.simulation.page import page
from flows.simulation.report import Report
from flows.simulation.simulation import simulate
from sources.history import MANIFEST, FolderHistory
from tests.decision.gate_world import DAY, HOUR, MINUTE, NOON, SMALL
from tests.golden import wire
from tests.golden.driver import Machine
from tests.simulation.recorded import MemoryHistory, changed, history, request
from tocsin.errors import SourceError
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

SETTINGS = wire.Settings(catalog=str(SMALL), stream_clock=False, partitions=1, key_groups=2)
LANDED = "on: {type: flight.landed}\n  category: updates\n  channels: [inapp, email]"
PROFILE = {"email": "ann@mail.example", "phone": "+12125550100", "timezone": "UTC", "version": 1}


class Script:
    """Records of one user, in order, from his profile on."""

    def __init__(self) -> None:
        self.lines: list[wire.Line] = []
        self.write(topics.PROFILES, 0, PROFILE)

    def write(self, topic: str, at: int, document: object) -> None:
        """Write a record at a time after noon; an epoch follows, so that its decisions are durable."""
        offset = sum(isinstance(line, wire.Record) and line.topic == topic for line in self.lines)
        value = document if isinstance(document, bytes) else msgspec.json.encode(document)
        self.lines.append(wire.Epoch(NOON + at))
        self.lines.append(wire.Record(topic, 0, offset, NOON + at, b"quiet/ann", value))
        self.lines.append(wire.Epoch(NOON + at))

    def event(self, kind: str, at: int) -> None:
        """Write an event of a type."""
        time = datetime.fromtimestamp((NOON + at) / 1000, UTC).isoformat()
        fields = {"time": time, "data": {"flight": "UA 1545", "delay": 72, "key": "k"}}
        event = {"specversion": "1.0", "id": f"{kind}-{at}", "source": "/t", "type": kind, "subject": "ann"}
        self.write(topics.EVENTS, at, event | {"tenant": "quiet"} | fields)


@pytest.fixture
def script() -> Script:
    return Script()


def admitted(folder: Path, script: Script, channel: str) -> Message:
    """Play what is written so far, and give the message to a channel."""
    machine = Machine(folder, SETTINGS)
    for line in script.lines:
        machine.play(line)
    records = [one for one in machine.finish().records if one.topic == topics.messages(channel)]
    return msgspec.json.decode(records[-1].value or b"", type=Message)


def recorded(folder: Path, script: Script) -> Path:
    return history(folder / "shard", SETTINGS, script.lines).write(folder / "history", "wall", 1)


@pytest.fixture
def returned(script: Script, tmp_path: Path) -> Path:
    """Record a history in which a mail fails once, comes back, is delivered and opened."""
    script.event("flight.landed", MINUTE)
    mail = admitted(tmp_path / "first", script, "email")
    again = msgspec.structs.replace(mail, attempt=2)
    script.write(
        topics.RETRIES, 2 * MINUTE, encode(Retry(message=again, reason="transient", due_ms=NOON + HOUR))
    )
    script.event("nothing", 2 * HOUR)
    receipt = ReceiptEvent(
        tenant="quiet",
        user="ann",
        kind="delivered",
        message_id=mail.message_id,
        notification_id=mail.notification_id,
        channel="email",
        at_ms=NOON + 3 * HOUR,
    )
    script.write(topics.RECEIPTS, 3 * HOUR, encode(receipt))
    script.event("flight.landed", 4 * HOUR)
    script.event("nothing", DAY)
    return recorded(tmp_path, script)


def test_what_comes_back_is_decided_as_it_was(returned: Path) -> None:
    report = simulate(request(returned, SETTINGS))
    assert report.result.differing == 0, report.result.examples
    assert report.result.dropped == 0
    held = [each for each in report.changes if each.reason == "retry_later"]
    assert [each.before for each in held] == [1]


def test_what_comes_back_of_a_message_that_is_not_sent_never_came(returned: Path, tmp_path: Path) -> None:
    new = changed(tmp_path / "new", LANDED, LANDED.replace(", email", ""))
    report = simulate(request(returned, SETTINGS, new))
    assert report.result.dropped == 2
    assert {(each.before, each.after) for each in report.result.examples} == {
        ("admitted", "nothing"),
        ("held retry_later", "nothing"),
    }
    assert not [each for each in report.changes if each.status == "cancelled"]


def test_users_are_counted_by_what_they_get(returned: Path, tmp_path: Path) -> None:
    new = changed(tmp_path / "new", "{type: flight.landed}", "{type: flight.landed.not}")
    report = simulate(request(returned, SETTINGS, new))
    assert report.users_before is not None
    assert report.users_after is not None
    assert (report.users_before.most, report.users_after.most) == (2, 0)
    assert [(each.user, each.before, each.after) for each in report.result.most_affected] == [
        ("quiet/ann", 2, 0)
    ]


def test_a_profile_that_compaction_left_stands_in_from_the_beginning(script: Script, tmp_path: Path) -> None:
    script.event("flight.landed", MINUTE)
    script.write(topics.PROFILES, 2 * HOUR, PROFILE | {"version": 2})
    script.event("flight.landed", 3 * HOUR)
    script.event("nothing", DAY)
    whole = FolderHistory(recorded(tmp_path, script))
    records = [each for topic in whole.bounds for batch in whole.read(topic, 0) for each in batch]
    kept = [each for each in records if each.topic != topics.PROFILES or each.offset]
    folder = MemoryHistory(kept).write(tmp_path / "compacted", "wall", 1)
    report = simulate(request(folder, SETTINGS))
    assert report.result.differing == 0, report.result.examples
    assert report.result.equal == 5
    assert any("the profiles that 1 users had" in note for note in report.notes)


def test_another_tenant_is_left_out(returned: Path) -> None:
    report = simulate(request(returned, SETTINGS, tenant="default"))
    assert report.compared == 0


def _report(returned: Path, tmp_path: Path) -> Report:
    new = changed(tmp_path / "new", LANDED, LANDED.replace("inapp, email", "inapp, sms"))
    return simulate(request(returned, SETTINGS, new))


def test_the_page_has_plots_and_sentences_and_nothing_to_load(returned: Path, tmp_path: Path) -> None:
    report = _report(returned, tmp_path)
    html = page(report)
    assert html.count("<svg") == 3
    assert "landed, sms" in html
    assert "The user has no address" not in html
    assert "It goes out by sms." in html
    assert "mail.example" not in html
    assert "12125550100" not in html
    assert not any(word in html for word in ("<script", "http://", "https://", "src="))


def test_the_json_report_can_be_read_back(returned: Path, tmp_path: Path) -> None:
    report = _report(returned, tmp_path)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_a_folder_without_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"history\.json is missing or damaged.*--record"):
        FolderHistory(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b'{"format":9,"partitions":1,"clock":"wall","bounds":{}}')
    with pytest.raises(SourceError, match="another release"):
        FolderHistory(tmp_path)


def test_a_recorded_folder_gives_the_same_records(tmp_path: Path) -> None:
    records = [
        RawRecord("events", 0, 7, 1, b"k", b"{}", ()),
        RawRecord("events", 0, 9, 5, None, b"\xff\x00", (("h", b"\xfe"), ("n", b""))),
        RawRecord("events", 0, 10, 9, b"", None, ()),
    ]
    folder = MemoryHistory(records).write(tmp_path / "h", "wall", 1)
    found = FolderHistory(folder)
    assert [each for batch in found.read("events", 0) for each in batch] == records
    assert [each for batch in found.read("events", 0, 5) for each in batch] == records[1:]
    assert found.bounds == {"events": {0: (7, 11)}}
    assert not list(found.read("events", 3))
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.glob("*.gz"))
