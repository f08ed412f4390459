"""What confluent-kafka returns, as a record, and which of it is none."""

from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, KafkaError

from sources.errors import EOF
from sources.records import is_end, is_record, raw_record
from tocsin.errors import SinkError
from tocsin.model.raw import RawRecord


class Returned:
    """A message as `Consumer.consume` returns it."""

    def __init__(
        self, error: int | None = None, at_ms: int = 5, headers: list[tuple[str, bytes | None]] | None = None
    ) -> None:
        self._error, self._at_ms, self._headers = error, at_ms, headers

    def error(self) -> KafkaError | None:
        return None if self._error is None else KafkaError(self._error)

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 42

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_NOT_AVAILABLE if self._at_ms < 0 else TIMESTAMP_CREATE_TIME, self._at_ms

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes | None:
        return None

    def headers(self) -> Any:
        return self._headers


def test_a_message_is_a_record_of_the_topic_without_its_prefix() -> None:
    record = raw_record("events", Returned(headers=[("a", b"1"), ("b", None)]))
    assert record == RawRecord("events", 3, 42, 5, b"k", None, (("a", b"1"), ("b", b"")))


def test_a_record_without_headers_and_timestamp_has_none_and_0() -> None:
    assert raw_record("events", Returned(at_ms=-1)) == RawRecord("events", 3, 42, 0, b"k", None, ())


def test_the_end_of_a_partition_is_no_record() -> None:
    assert is_record(Returned())
    assert not is_record(Returned(EOF))
    assert is_end(Returned(EOF))
    assert not is_end(Returned())
    assert not is_end(Returned(KafkaError.TOPIC_AUTHORIZATION_FAILED))


def test_an_error_that_does_not_pass_is_raised() -> None:
    with pytest.raises(SinkError):
        is_record(Returned(KafkaError.TOPIC_AUTHORIZATION_FAILED))
