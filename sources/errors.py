"""Explains librdkafka's errors: the meaning of each, and a sentence with the cure."""

from confluent_kafka import KafkaError

EOF: int = KafkaError._PARTITION_EOF  # noqa: SLF001 -- librdkafka's names for its own errors
_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001
    }
)
_MISSING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
_OUT_OF_RANGE = frozenset(
    {
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
    }
)


_AWAY = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
    }
)


def is_away(error: KafkaError) -> bool:
    """Tell whether no broker answered."""
    return error.code() in _AWAY


def is_out_of_range(error: KafkaError) -> bool:
    """Tell whether the topic does not hold the requested offset."""
    return error.code() in _OUT_OF_RANGE


def describe(error: KafkaError, subject: str) -> str:
    """Describe an error that the flow survives.

    Args:
        error: librdkafka's error.
        subject: the topic, or what was asked for.

    Returns:
        A sentence that names subject, error and cure.
    """
    if error.code() in _REFUSED:
        return f"{subject}: Kafka refuses access ({error.name()}); correct the ACL or TOCSIN_KAFKA_OPTIONS"
    if error.code() in _MISSING:
        return f"{subject}: the topic or a partition is missing; run `tocsin topics create`"
    return f"{subject}: {error.name()}; reading goes on when Kafka answers"
