"""A block lifted by hand: the command writes a receipt that the gate obeys."""

import json

import pytest

from sources.reader import TopicReader
from tests.decision.gate_world import MINUTE, World, profile, sent
from tests.sources.mock_kafka import MockCluster
from tocsin.cli.main import build, main
from tocsin.formats.codec import decode_receipt
from tocsin.model import topics

pytestmark = pytest.mark.loopback


@pytest.mark.parametrize(
    "words", [("--address", "+12125550100"), ("--channel", "sms"), ("--address", "12125550100")]
)
def test_the_user_is_reached_again(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    world.profile(profile())
    world.receipt("opted_out", channel="sms")
    assert "sms" not in sent(world.event("flight.cancelled", at=MINUTE))
    with MockCluster() as cluster:
        cluster.create("tocsin.receipts", 1)
        monkeypatch.setenv("TOCSIN_KAFKA", cluster.bootstrap)
        monkeypatch.setenv("TOCSIN_PARTITIONS", "1")
        command = ["unblock", "--user", "ann", "--tenant", "quiet", *words, "--json"]
        build(command)(command, standalone_mode=False)
        with TopicReader(cluster.bootstrap, "tocsin.") as reader:
            (record,) = reader.read(topics.RECEIPTS)
    assert json.loads(capsys.readouterr().out) == {"origin": "receipts/0/0"}
    receipt = decode_receipt(record)
    assert record.key == b"quiet/ann"
    world.apply("ann", world.gate.on_receipt(world.record(), receipt, receipt.at_ms, record))
    assert world.outcomes[-1].status == "unblocked"
    assert "sms" in sent(world.event("flight.cancelled", at=2 * MINUTE))


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((), "name what to unblock: --address, --target, or --channel of a --user"),
        (("--channel", "sms", "--user", ""), "name what to unblock"),
        (("--channel", "pager"), "--channel: `pager` is no channel, use email, sms"),
        (("--channel", "sms", "--tenant", "a/b"), "tenant: holds '/'"),
    ],
)
def test_what_the_gate_would_refuse_is_not_written(
    words: tuple[str, ...], cure: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tocsin", "unblock", "--user", "ann", *words])
    with pytest.raises(SystemExit):
        main()
    assert cure in capsys.readouterr().err
