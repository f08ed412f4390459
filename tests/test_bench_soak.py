"""`bench.soak`: its plan, what its judge finds, its network that can be cut, and memory that grows."""

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from bench.soak.judge import judge
from bench.soak.link import Link
from bench.soak.load import POLICIES, events, write_catalog
from bench.soak.memory import MOST_MB_A_MINUTE, Sample, growth
from bench.soak.plan import CHANNELS, DELIVER, NETWORK, plan
from tests.waiting import PATIENCE_S, until
from tocsin.catalog.loader import load
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Reason, Status
from tocsin.render.check import sound_templates

SERVERS = ("kafka", "redis", "clickhouse")


def outcome(
    message: str, channel: str, status: Status, reason: Reason = Reason.NONE, attempt: int = 1
) -> Outcome:
    return Outcome(
        outcome_id=f"{message}/{status}/{attempt}",
        message_id=message,
        channel=channel,
        status=status,
        reason=reason,
        attempt=attempt,
        tenant="default",
        at_ms=0,
    )


def violations(outcomes: list[Outcome], **taken: int) -> list[str]:
    return list(judge(outcomes, Counter(taken), POLICIES).violations)


@pytest.mark.parametrize("seed", range(20))
def test_a_run_of_a_minute_takes_everything_away_once_and_brings_it_back(seed: int) -> None:
    what = plan(seed, 60, SERVERS[1:])
    assert {stop.name for stop in what.stops} == {"redis", "clickhouse", NETWORK, DELIVER}
    ends = [(stop.at_s, stop.at_s + stop.away_s) for stop in what.stops if stop.name != DELIVER]
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert ends[-1][1] < 60
    assert what.faults


def test_the_seed_alone_decides_the_plan() -> None:
    assert plan(7, 600, SERVERS) == plan(7, 600, SERVERS) != plan(8, 600, SERVERS)
    assert len(plan(7, 600, SERVERS).stops) >= 17
    kinds = {fault.order.fault.kind for fault in plan(7, 600, SERVERS).faults}
    assert {"status", "drop_before", "drop_after", "latency", "dead_token"} <= kinds


def test_no_second_send_is_allowed_but_after_an_unknown_answer_by_policy() -> None:
    unknown, sent = (Status.RETRYING, Reason.UNKNOWN), (Status.SENT, Reason.RESENT_AFTER_UNKNOWN)
    for channel, policy in POLICIES.items():
        told = [outcome("m", channel, *unknown), outcome("m", channel, *sent, attempt=2)]
        assert (violations(told, m=2) == []) is (policy == "resend"), channel
        assert violations(told, m=3) == ["1 messages were sent twice: m"]
        assert violations([outcome("m", channel, Status.SENT)], m=2) == ["1 messages were sent twice: m"]


def test_outcomes_and_providers_must_say_the_same() -> None:
    dead = Status.DEAD
    assert violations([outcome("m", "sms", Status.SENT)]) == [
        "1 messages are called sent, and no provider took them: m"
    ]
    assert violations([outcome("m", "sms", dead, Reason.REJECTED)], m=1) == [
        "1 messages were sent, and no outcome says so: m"
    ]
    assert violations([outcome("m", "sms", dead, Reason.UNKNOWN)], m=1) == []
    assert violations([], m=1) == ["1 messages were sent, and have no outcome: m"]
    assert violations([outcome("m", "sms", Status.ADMITTED)]) == ["1 messages have no final outcome: m"]
    assert violations([outcome("m", "sms", Status.SENT)] * 2, m=1) == []
    failed = [outcome("m", "sms", Status.RETRYING), outcome("m", "sms", Status.HELD, Reason.RETRY_LATER)]
    assert violations(failed) == []
    assert judge(failed, Counter(), POLICIES).awaiting_retry == 1


def test_memory_that_grows_after_the_warm_up_is_not_flat() -> None:
    rises = [Sample(s, 100 + min(s, 100)) for s in range(600)]
    leaks = [Sample(s, 100 + 2 * MOST_MB_A_MINUTE * s / 60) for s in range(600)]
    stores = [sample._replace(store_mb=MOST_MB_A_MINUTE * sample.at_s / 60) for sample in leaks]
    assert (growth(rises).flat, growth(leaks).flat) == (True, False)
    assert growth(stores).flat, "half of it is in buffers of the store, which have a bound"
    assert growth(leaks).mb_a_minute == pytest.approx(2 * MOST_MB_A_MINUTE)
    assert growth(leaks[:100]).mb_a_minute is None


def test_the_catalog_of_the_soak_is_sound_and_no_two_texts_are_equal(tmp_path: Path) -> None:
    catalog = load(write_catalog(tmp_path))
    assert sound_templates(tmp_path, catalog.tenants).faults == {}
    categories = catalog.tenants["default"].spec.categories
    assert {name: each.on_unknown for name, each in categories.items()} == {
        f"of_{channel}": policy for channel, policy in POLICIES.items()
    }
    made = [value for _, _, value in islice(events(3), 30)]
    assert len({value.split(b'"data":')[1] for value in made}) == 30
    assert all(any(f'order.shipped.{channel}"'.encode() in value for value in made) for channel in CHANNELS)


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while data := connection.recv(100):
                        connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(PATIENCE_S)


def answered(connection: socket.socket) -> bytes:
    connection.settimeout(PATIENCE_S)
    connection.sendall(b"hello")
    return connection.recv(100)


@pytest.mark.integration
def test_a_link_that_is_cut_refuses_connections_and_closes_those_that_are_open() -> None:
    with echo() as port:
        link = Link("127.0.0.1", port)
        place = ("127.0.0.1", link.port)
        with socket.create_connection(place) as open_one:
            assert answered(open_one) == b"hello"
            link.cut()
            with pytest.raises(ConnectionError):
                # Its end is heard first, then what is said after it is refused.
                until(lambda: answered(open_one) and False)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place)
        link.mend()
        with socket.create_connection(place) as again:
            assert answered(again) == b"hello"
        link.close()
