"""The demo's stage: what its witness counts."""

from pathlib import Path

from cli.demo_stage import sends


def test_sends_are_counted_by_message_and_a_torn_line_is_none(tmp_path: Path) -> None:
    whole = ['{"message_id":"a"}', '{"message_id":"b"}', '{"message_id":"a"}', '{"provider":"smtp"}']
    (tmp_path / "sent.jsonl").write_text("\n".join([*whole, '{"mess']))
    assert sends(tmp_path) == {"a": 2, "b": 1}


def test_nothing_was_sent_before_the_first_line(tmp_path: Path) -> None:
    assert sends(tmp_path) == {}
