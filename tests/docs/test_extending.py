"""The worked examples of docs/extending.md are built from the page's own code blocks, and run."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

from tests.decision.gate_world import CATALOG, HOUR, World, profile, said, sent
from tests.docs.repository import ROOT
from tocsin.decision import receipts, rules
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.rules.expiry import expiry

PAGE = (ROOT / "docs" / "extending.md").read_text()


def block(section: str, number: int = 0) -> str:
    """Return a Python block of a section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return text.split("```python\n")[1 + number].split("```")[0]


def module(name: str, source: str, folder: Path) -> ModuleType:
    """Build a module from the source that the page shows."""
    found = ModuleType(name)
    path = folder / "example.py"
    path.write_text(source)
    exec(compile(source, str(path), "exec"), found.__dict__)
    return found


@pytest.fixture
def rule(tmp_path: Path) -> Iterator[ModuleType]:
    """The rule of the page, as the module it tells to write."""
    name = "tocsin.decision.rules.stale_events"
    sys.modules[name] = module(name, block("A rule"), tmp_path)
    yield sys.modules[name]
    del sys.modules[name]


def with_entry(built: ModuleType) -> Gate:
    """A gate whose order has the page's registry entry behind `expiry`, as the page says."""
    line = block("A rule", 1)
    entry = eval(line, {**vars(rules), "stale_events": built.stale_events})  # the page's own line
    place = [each.rule for each in rules.ORDER].index(expiry) + 1
    return Gate(CATALOG, GatePolicy(), (*rules.ORDER[:place], entry, *rules.ORDER[place:]))


def test_a_rule_is_one_file_and_one_entry(rule: ModuleType) -> None:
    world = World()
    world.gate = with_entry(rule)
    world.profile(profile())
    assert sent(world.event("few", time=-HOUR + 1)) == ["email", "sms"]
    late = world.event("few", time=-HOUR)
    assert said(late) == [("expired", "too_late", "*")]
    assert late.outcomes[0].detail == {"age_ms": HOUR}
    assert sent(world.event("flight.cancelled", time=-HOUR)) == ["push", "sms", "email"], "critical ones pass"


def test_the_rule_holds_where_the_page_says_it_does(rule: ModuleType) -> None:
    """What was held is judged when due; a returned message is not asked."""
    world = World()
    world.profile(profile())
    message = world.event("few").messages[0]
    world.gate = with_entry(rule)
    assert said(world.event("few", send_at=2 * HOUR)) == [("held", "scheduled", "*")]
    world.advance(2 * HOUR)
    assert (world.outcomes[-1].status, world.outcomes[-1].channel) == ("expired", "*")
    assert len(world.retry(message, at=3 * HOUR).messages) == 1


def test_a_receipt_kind_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = eval(block("A receipt kind"), vars(receipts))  # the page's own line
    monkeypatch.setattr(receipts, "RECEIPTS", MappingProxyType({**receipts.RECEIPTS, **row}))
    world = World()
    world.profile(profile())
    push, sms, _ = world.event("flight.cancelled").messages
    world.retry(sms, due=HOUR)
    step = world.receipt("handled", notification_id=push.notification_id, message_id=push.message_id)
    assert said(step) == [("read", "", "*"), ("cancelled", "", "sms")]
    assert step.outcomes[1].detail == {"receipt": "handled"}
    assert world.timers == {}
    world.advance(2 * HOUR)
    assert [one.attempt for one in world.messages] == [1, 1, 1]


def test_a_receipt_of_another_notification_cancels_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    row = eval(block("A receipt kind"), vars(receipts))  # the page's own line
    monkeypatch.setattr(receipts, "RECEIPTS", MappingProxyType({**receipts.RECEIPTS, **row}))
    world = World()
    world.profile(profile())
    world.retry(world.event("flight.cancelled").messages[1], due=HOUR)
    assert said(world.receipt("handled", notification_id="another")) == [("read", "", "*")]
    world.advance(HOUR)
    assert world.messages[-1].attempt == 2
