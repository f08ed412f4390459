"""An outage of Kafka fills no disk with lines of librdkafka that say the same."""

import logging

from tocsin.app.logs import RepeatsOnceAMinute, configure

REFUSED = "FAIL [rdkafka#consumer-3]: kafka:9092: Connection refused (after %dms in state CONNECT)"


def record(at_s: float, text: str = REFUSED, after_ms: int = 0) -> logging.LogRecord:
    args = (after_ms,) if "%d" in text else None
    made = logging.LogRecord("tocsin.kafka", logging.WARNING, __file__, 1, text, args, None)
    made.created = at_s
    return made


def test_a_line_that_repeats_is_written_once_a_minute_and_says_how_many_were_left_out() -> None:
    log = RepeatsOnceAMinute()
    began_s = 1_700_000_000.0
    records = [record(began_s + n * 0.05, after_ms=n % 3) for n in range(2_000)]
    written = [one.getMessage() for one in records if log.filter(one)]
    assert written == [
        REFUSED % 0,
        f"{REFUSED % 0} (1,199 more of these were left out)",
    ]


def test_other_lines_pass_meanwhile() -> None:
    log = RepeatsOnceAMinute()
    texts = ("refused", "all brokers down", "refused")
    assert [log.filter(record(1_700_000_000.0, text)) for text in texts] == [True, True, False]


def test_texts_that_never_repeat_are_not_kept_for_ever() -> None:
    log = RepeatsOnceAMinute()
    assert all(log.filter(record(1_700_000_000.0, f"topic {n}")) for n in range(5_000))
    assert len(log._shown) <= 1_000  # noqa: SLF001  # that it is bounded shows nowhere else


def test_the_log_of_kafka_is_filtered_once_however_often_it_is_set_up() -> None:
    kafka = logging.getLogger("tocsin.kafka")
    before = list(kafka.filters)
    try:
        configure("gate-0")
        configure("gate-0")
        added = [one for one in kafka.filters if isinstance(one, RepeatsOnceAMinute)]
        assert len(added) == 1
    finally:
        kafka.filters[:] = before
