"""Law 2 over every kind of decision: what is decided again by the same catalog differs in nothing."""

from pathlib import Path

import pytest

from flows.simulation.simulation import simulate
from tests.simulation.invented import Invented
from tests.simulation.recorded import request

CATALOGS = Path(__file__).parent.parent / "decision" / "catalogs"
EVENTS = 250


@pytest.mark.parametrize(
    ("catalog", "seed", "met"),
    [
        ("later", 0, {"escalation", "answered", "seen"}),
        ("digests", 1, {"digest", "scheduled", "limit_hold"}),
        ("replaced", 0, {"rescheduled", "cancelled_by_event", "cancel_applied", "send_window"}),
        ("caps", 0, {"limit", "limit_hold", "duplicate_key"}),
    ],
)
def test_the_same_catalog_differs_in_nothing(catalog: str, seed: int, met: set[str], tmp_path: Path) -> None:
    invented = Invented(tmp_path / "shard", CATALOGS / catalog, seed)
    folder = invented.history(hours=30, events=EVENTS).write(tmp_path / "history", "wall", 2)
    report = simulate(request(folder, invented.settings, is_replayed=catalog == "digests"))
    assert report.result.differing == 0, report.result.examples
    assert report.result.dropped == 0
    assert {each.reason for each in report.changes if each.before} >= {*met, "retry_later"}
    assert report.result.equal > EVENTS
