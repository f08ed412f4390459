"""The limit of undecodable records."""

from itertools import cycle, islice

from hypothesis import given
from hypothesis import strategies as st

from sources.decode_errors import DecodeErrorLimit, DecodeErrorPolicy


class Pauses:
    """Remembers what was paused, after how many records."""

    def __init__(self, policy: DecodeErrorPolicy) -> None:
        self.limit = DecodeErrorLimit(policy, self._pause)
        self.sentences: list[str] = []

    def _pause(self, topic: str, partition: int, sentence: str) -> None:
        self.sentences.append(sentence)

    def feed(self, marks: str, topic: str = "events", partition: int = 0) -> int | None:
        """Feed `+` and `-`; return after how many records the first pause came."""
        for count, mark in enumerate(marks, 1):
            if mark == "+":
                self.limit.decoded(topic, partition, 1)
            else:
                self.limit.failed(topic, partition)
            if self.sentences:
                return count
        return None


def test_a_run_pauses() -> None:
    pauses = Pauses(DecodeErrorPolicy(run=5))
    assert pauses.feed("----+-----") == 10
    (sentence,) = pauses.sentences
    assert "events/0 is paused: 5 undecodable records in a row" in sentence
    assert "TOCSIN_ACCEPT_BAD" in sentence


def test_a_share_pauses_once_the_window_is_full() -> None:
    pauses = Pauses(DecodeErrorPolicy(run=100, ratio=0.5, window=20))
    assert pauses.feed("-+" * 10) is None
    assert pauses.feed("-") is None, "the oldest bad one left the window"
    assert pauses.feed("-") == 1
    assert "11 of the last 20 records undecodable" in pauses.sentences[0]


def test_few_bad_records_never_pause() -> None:
    assert Pauses(DecodeErrorPolicy()).feed("".join(islice(cycle("-+++"), 10_000))) is None


def test_partitions_count_apart() -> None:
    pauses = Pauses(DecodeErrorPolicy(run=3))
    assert pauses.feed("--", partition=0) is None
    assert pauses.feed("--", partition=1) is None
    assert pauses.feed("--", topic="bulk") is None
    assert pauses.feed("-", partition=1) == 1


@given(st.text("+-", max_size=80))
def test_against_counting_by_hand(marks: str) -> None:
    policy = DecodeErrorPolicy(run=6, ratio=0.4, window=10)
    expected = None
    for count in range(1, len(marks) + 1):
        seen, last = marks[:count], marks[max(0, count - 10) : count]
        if seen.endswith("-" * 6) or (count >= 10 and seen[-1] == "-" and last.count("-") > 4):
            expected = count
            break
    assert Pauses(policy).feed(marks) == expected
