"""One event by hand: what was written is said, whatever its id looks like."""

import pytest

from tests.sources.mock_kafka import MockCluster
from tocsin.cli.main import build

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize("name", ["a[/b]", "a[b]c"])
def test_an_id_that_looks_like_markup_is_written_and_said(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with MockCluster() as cluster:
        cluster.create("tocsin.events", 1)
        monkeypatch.setenv("TOCSIN_KAFKA", cluster.bootstrap)
        monkeypatch.setenv("TOCSIN_PARTITIONS", "1")
        words = ["send", "x", "--user", "u", "--id", name]
        build(words)(words, standalone_mode=False)
    assert capsys.readouterr().out == f"✓ {name} at events/0/0; ask with: tocsin why {name}\n"
