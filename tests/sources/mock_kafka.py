"""librdkafka's mock cluster through ctypes: brokers that fail on order, in this process."""

import ctypes
from types import TracebackType
from typing import Self

import confluent_kafka
from confluent_kafka import Producer  # the extension loads the library that is found below

FETCH, PRODUCE, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH = 1, 0, 2, 3, 8, 9
INIT_PRODUCER_ID = 22
_PRODUCER = 0


def _library() -> ctypes.CDLL:
    from pathlib import Path

    package = Path(confluent_kafka.__file__).parent
    found = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    return ctypes.CDLL(str(found[0]))


class MockCluster:
    """One mock broker; `with MockCluster() as cluster: ... cluster.bootstrap`."""

    def __init__(self) -> None:
        assert Producer is not None
        self._lib = lib = _library()
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        lib.rd_kafka_conf_new.restype = pointer
        lib.rd_kafka_new.argtypes, lib.rd_kafka_new.restype = (
            (number, pointer, text, ctypes.c_size_t),
            pointer,
        )
        lib.rd_kafka_mock_cluster_new.argtypes = (pointer, number)
        lib.rd_kafka_mock_cluster_new.restype = pointer
        lib.rd_kafka_mock_cluster_bootstraps.argtypes = (pointer,)
        lib.rd_kafka_mock_cluster_bootstraps.restype = text
        lib.rd_kafka_mock_topic_create.argtypes = (pointer, text, number, number)
        lib.rd_kafka_mock_topic_set_error.argtypes = (pointer, text, number)
        lib.rd_kafka_mock_broker_set_down.argtypes = (pointer, ctypes.c_int32)
        lib.rd_kafka_mock_broker_set_up.argtypes = (pointer, ctypes.c_int32)
        lib.rd_kafka_mock_start_request_tracking.argtypes = (pointer,)
        lib.rd_kafka_mock_get_requests.argtypes = (pointer, ctypes.POINTER(ctypes.c_size_t))
        lib.rd_kafka_mock_get_requests.restype = ctypes.POINTER(pointer)
        lib.rd_kafka_mock_request_api_key.argtypes = (pointer,)
        lib.rd_kafka_mock_request_api_key.restype = ctypes.c_int16
        lib.rd_kafka_mock_request_destroy_array.argtypes = (ctypes.POINTER(pointer), ctypes.c_size_t)
        lib.rd_kafka_mock_cluster_destroy.argtypes = (pointer,)
        lib.rd_kafka_destroy.argtypes = (pointer,)
        self._handle = lib.rd_kafka_new(_PRODUCER, lib.rd_kafka_conf_new(), None, 0)
        self._cluster = lib.rd_kafka_mock_cluster_new(self._handle, 1)
        self.bootstrap = lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic (full name)."""
        assert self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) == 0

    def fail(self, request: int, *codes: int) -> None:
        """Answer the next requests of a kind with these errors."""
        arguments = [ctypes.c_int(code) for code in codes]
        self._lib.rd_kafka_mock_push_request_errors(
            ctypes.c_void_p(self._cluster),
            ctypes.c_int16(request),
            ctypes.c_size_t(len(codes)),
            *arguments,
        )

    def watch(self) -> None:
        """Remember each request from now on."""
        self._lib.rd_kafka_mock_start_request_tracking(self._cluster)

    def asked(self) -> set[int]:
        """Return the kinds of requests that came since `watch`."""
        count = ctypes.c_size_t()
        found = self._lib.rd_kafka_mock_get_requests(self._cluster, ctypes.byref(count))
        kinds = {self._lib.rd_kafka_mock_request_api_key(found[at]) for at in range(count.value)}
        self._lib.rd_kafka_mock_request_destroy_array(found, count)
        return kinds

    def break_topic(self, topic: str, code: int) -> None:
        """Answer everything about a topic with an error, 0 to fix it."""
        self._lib.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), code)

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        self._lib.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def up(self) -> None:
        """Answer again."""
        self._lib.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._handle)
