"""What `bench.bad_input` does a million times, a few thousand times in each run of the tests."""

import json
from collections import Counter
from pathlib import Path

from bench.bad_input import NOW_MS, Judge, Mutator, samples
from bench.mixes import a_shop_s_day, shares, written
from bench.topics import Options, judge, work
from tocsin.model import topics
from tocsin.model.raw import RawRecord
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


def test_a_receipt_without_a_user_goes_to_every_partition_and_there_to_every_key_group() -> None:
    value = b'{"kind": "opted_out", "channel": "sms", "address": "+12125550142"}'
    marks = (("tocsin-origin", b"receipts/2/7"), ("tocsin-received", b"1767225600000"))
    judge = Judge()
    for headers in ((), marks):
        judge.judge(RawRecord(topics.RECEIPTS, 2, 7, NOW_MS, b"default/t", value, headers))
    assert (judge.faults, judge.counts) == ([], {"spread": 2})


def test_the_honest_mix_holds_what_it_promises() -> None:
    records = list(a_shop_s_day(1_000, 3_000))
    kinds = Counter(json.loads(value)["type"] for _, _, value in records)
    firsts = len(set(records))
    assert len(records) - firsts == 300
    assert kinds["order.shipped"] == 1_000 + 300
    assert kinds["news.written"] + kinds["price.changed"] == 1_000
    assert kinds["order.packed"] + kinds["cart.viewed"] == 700
    assert len({key for _, key, _ in records}) > 900


def test_shares_are_of_events_whatever_the_number_of_channels() -> None:
    metrics = {
        "tocsin_decisions_total|push||admitted": 30.0,
        "tocsin_decisions_total|email||admitted": 35.0,
        "tocsin_decisions_total|inapp||admitted": 5.0,
        "tocsin_decisions_total|*|limit|suppressed": 60.0,
        "tocsin_records_total|events": 100.0,
    }
    assert shares(metrics, 100) == {
        "admitted to two channels": 0.3,
        "admitted to one": 0.1,
        "suppressed limit": 0.6,
    }


def test_what_is_written_is_each_outcome_and_a_message_for_each_admitted_one() -> None:
    metrics = {
        "tocsin_decisions_total|push||admitted": 30.0,
        "tocsin_decisions_total|*|scheduled|held": 20.0,
        "tocsin_decisions_total|*|limit|suppressed": 60.0,
        "tocsin_records_total|events": 100.0,
    }
    assert written(metrics, 100) == {"outcomes_per_event": 1.1, "records_per_event": 1.4}


def test_the_bench_of_topics_reaches_everybody_and_notices_who_is_missed(tmp_path: Path) -> None:
    options = Options(users=300, folder=tmp_path)
    work(options)
    found = judge(options)
    assert found == {"missing": 0, "unexpected": 0, "differing_copies": 0, "equal_copies": 0}
    assert judge(options._replace(users=301))["missing"] == 1
