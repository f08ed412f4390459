"""Turns what confluent-kafka returns into records."""

from typing import Any, Final

from sources.errors import EOF
from tocsin.errors import SinkError
from tocsin.model.raw import RawRecord

_NO_TIMESTAMP: Final = 0


def raw_record(topic: str, message: Any) -> RawRecord:
    """Return a message of confluent-kafka as a record of `topic`, which is without the prefix.

    librdkafka gives -1 to a record without a timestamp; it has 0 here.
    """
    headers = message.headers()
    return RawRecord(
        topic,
        message.partition(),
        message.offset(),
        max(message.timestamp()[1], _NO_TIMESTAMP),
        message.key(),
        message.value(),
        tuple([(name, value or b"") for name, value in headers]) if headers else (),
    )


def is_end(message: Any) -> bool:
    """Tell whether a message is no record, but says that its partition has no more for now."""
    error = message.error()
    return error is not None and error.code() == EOF


def is_record(message: Any) -> bool:
    """Tell whether a message is a record. The end of a partition and errors that pass are not.

    Raises:
        SinkError: an error that does not pass by itself.
    """
    error = message.error()
    if error is None:
        return True
    if error.code() == EOF or error.retriable():
        return False
    raise SinkError(error.str())
