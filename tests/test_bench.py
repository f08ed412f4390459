"""What `bench.bad_input` does a million times, a few thousand times in each run of the tests."""

from bench.bad_input import Judge, Mutator, samples
from tocsin.model.statuses import Reason


def test_each_broken_record_ends_in_one_place_with_its_reason() -> None:
    mutator, judge = Mutator(samples(), seed=1), Judge()
    for offset in range(4_000):
        judge.judge(mutator.record(offset))
    assert judge.faults == []
    assert judge.counts.total() == 4_000
    assert {
        Reason.BAD_JSON,
        Reason.BAD_FIELD,
        Reason.BAD_UTF8,
        Reason.NO_SUBJECT,
        "accepted",
    } <= judge.counts.keys()
