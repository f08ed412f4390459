"""Drain times: exact for even rates, none while nothing is known, and never an old load's."""

import math

from tocsin.app.drain_times import SPAN_S, DrainTimes


def test_what_shrinks_evenly_is_done_at_that_rate() -> None:
    drains = DrainTimes()
    seen = [drains.by_shrinking("events", 600 - 4 * at_s, at_s) for at_s in range(0, 151, 15)]
    assert seen == [None, *[(600 - 4 * at_s) / 4 for at_s in range(15, 150, 15)], 0.0]


def test_what_grows_or_stands_is_never_done() -> None:
    drains = DrainTimes()
    assert [drains.by_shrinking("events", waiting, 20.0 * at) for at, waiting in enumerate((5, 5, 9))] == [
        None,
        math.inf,
        math.inf,
    ]


def test_finished_messages_give_the_rate_although_more_come() -> None:
    drains = DrainTimes()
    assert drains.by_finishing("sms", waiting=50, finished=1_000, now_s=0) is None
    assert drains.by_finishing("sms", waiting=90, finished=1_030, now_s=10) == 30.0
    assert drains.by_finishing("mail", waiting=90, finished=0, now_s=10) is None, "one has no other's rate"


def test_an_outage_is_forgotten_after_a_minute() -> None:
    drains = DrainTimes()
    for at_s in range(0, 301, 10):
        drains.by_finishing("sms", 500, 0, at_s)
    for second in range(10, int(SPAN_S) + 11, 10):
        found = drains.by_finishing("sms", 500, 5 * second, 300 + second)
    assert found == 100.0


def test_two_scrapes_at_once_change_nothing() -> None:
    drains = DrainTimes()
    drains.by_shrinking("events", 100, 0)
    assert [drains.by_shrinking("events", 90, 10.0), drains.by_shrinking("events", 90, 10.001)] == [
        90.0,
        90 / (10 / 10.001),
    ]


def test_nothing_that_waits_is_done_at_the_first_look() -> None:
    assert DrainTimes().by_shrinking("events", 0, 5.0) == 0.0
