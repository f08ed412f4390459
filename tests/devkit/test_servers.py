"""The embedded servers as a set: up together, gone together, one run a folder."""

import contextlib
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.waiting import PATIENCE_S, until
from tocsin.devkit.guard import project_env
from tocsin.devkit.identity import ProcessIdentity, is_running, wait_gone
from tocsin.devkit.probes import http_answers, kafka_answers, redis_answers
from tocsin.devkit.processes import StartError, free_ports
from tocsin.devkit.servers import CLICKHOUSE, KAFKA, REDIS, SANDBOX, Servers, describe, status

_HOLDER = """
import sys, time
from pathlib import Path
from urllib.parse import urlsplit
from tocsin.devkit.servers import Servers
servers = Servers(Path(sys.argv[1]), {"redis"}).start()
print(servers.settings["TOCSIN_REDIS"], flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("set"), {KAFKA, REDIS, CLICKHOUSE}) as servers:
        yield servers


@contextlib.contextmanager
def _holder(folder: Path) -> Iterator["tuple[subprocess.Popen[str], str]"]:
    """Run another process that holds servers in the folder."""
    argv = [sys.executable, "-c", _HOLDER, str(folder)]
    with subprocess.Popen(argv, env=project_env(), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        try:
            yield holder, holder.stdout.readline().strip()
        finally:
            holder.kill()


def test_all_are_up_and_named(servers: Servers) -> None:
    assert set(servers.settings) == {"TOCSIN_KAFKA", "TOCSIN_REDIS", "TOCSIN_CLICKHOUSE"}
    assert set(servers.addresses) == {KAFKA, REDIS, CLICKHOUSE}
    listed = {each.name: each for each in servers.status()}
    assert set(listed) == {KAFKA, REDIS, CLICKHOUSE}
    assert all(each.running and each.log.exists() for each in listed.values())
    assert all("127.0.0.1:" in address for address in servers.addresses.values())


def test_the_broker_keeps_partitions_keys_headers_and_times(servers: Servers) -> None:
    bootstrap: dict[str, str | int | float | bool] = {"bootstrap.servers": servers.settings["TOCSIN_KAFKA"]}
    admin = AdminClient(bootstrap)
    admin.create_topics([NewTopic("t", num_partitions=4)])["t"].result(PATIENCE_S)
    producer = Producer(bootstrap)
    producer.produce("t", b"v", b"k", partition=3, timestamp=1_357_000_000_000, headers=[("h", b"1")])
    assert producer.flush(PATIENCE_S) == 0
    consumer = Consumer({**bootstrap, "group.id": "g", "enable.auto.commit": False})
    with contextlib.closing(consumer):
        consumer.assign([TopicPartition("t", 3, 0)])
        read = consumer.poll(PATIENCE_S)
        assert read is not None
        assert (read.key(), read.value(), read.partition(), read.offset()) == (b"k", b"v", 3, 0)
        assert (read.timestamp()[1], read.headers()) == (1_357_000_000_000, [("h", b"1")])
        consumer.commit(offsets=[TopicPartition("t", 3, 1)], asynchronous=False)
        assert consumer.committed([TopicPartition("t", 3)], timeout=PATIENCE_S)[0].offset == 1


def test_what_redis_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    with Servers(tmp_path, {REDIS}, redis_fsync="always") as servers:
        url = servers.settings["TOCSIN_REDIS"]
        for number in range(3):
            with redis.Redis.from_url(url) as client:
                assert client.set(f"claim-{number}", "open")
            servers.kill(REDIS)
            servers.restart(REDIS)
            assert servers.settings["TOCSIN_REDIS"] == url
        with redis.Redis.from_url(url) as client:
            assert client.dbsize() == 3
            assert client.config_get("appendfsync")["appendfsync"] == "always"
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"


def test_a_relaunched_server_answers_again_where_it_was(tmp_path: Path) -> None:
    with Servers(tmp_path, {REDIS}) as servers:
        url = servers.settings["TOCSIN_REDIS"]
        servers.kill(REDIS)
        assert not servers.answers(REDIS)
        servers.relaunch(REDIS)
        until(lambda: servers.answers(REDIS), "an answer")
        assert servers.settings["TOCSIN_REDIS"] == url


def test_stop_leaves_nothing_running_and_keeps_the_data(tmp_path: Path) -> None:
    with Servers(tmp_path, {REDIS}) as servers:
        with redis.Redis.from_url(servers.settings["TOCSIN_REDIS"]) as client:
            client.set("kept", "1")
        pid = servers.pid(REDIS)
    servers.stop()
    assert status(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with Servers(tmp_path, {REDIS}) as again:
        assert again.ended_leftovers == []
        with redis.Redis.from_url(again.settings["TOCSIN_REDIS"]) as client:
            assert client.get("kept") == b"1"


def test_a_fresh_start_begins_from_nothing(tmp_path: Path) -> None:
    for fresh, found in ((False, None), (False, b"1"), (True, None)):
        with Servers(tmp_path, {REDIS}, fresh=fresh) as servers, _redis(servers) as client:
            assert client.get("kept") == found
            client.set("kept", "1")


def _redis(servers: Servers) -> redis.Redis:
    return redis.Redis.from_url(servers.settings["TOCSIN_REDIS"])


def test_ports_may_be_fixed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Servers(tmp_path, {REDIS}, ports={REDIS: port}) as servers:
        assert servers.settings["TOCSIN_REDIS"] == f"redis://127.0.0.1:{port}/0"
        until(lambda: redis_answers(port), "an answer within a second")


def test_the_sandbox_comes_with_http_and_smtp(tmp_path: Path) -> None:
    with Servers(tmp_path, {SANDBOX}) as servers:
        http_port = urlsplit(servers.addresses[SANDBOX]).port or 0
        until(lambda: http_answers(http_port, "/healthz"), "an answer within a second")
        host, _, port = servers.addresses["smtp"].rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=PATIENCE_S) as mail:
            assert mail.noop()[0] == 250


def test_the_viewer_is_told_of_the_redis_beside_it(tmp_path: Path) -> None:
    both = {each.name: each for each in describe(tmp_path, {SANDBOX, REDIS}, "everysec", {})}
    assert f"--redis={both[REDIS].settings['TOCSIN_REDIS']}" in both[SANDBOX].argv
    (alone,) = describe(tmp_path, {SANDBOX}, "everysec", {}, sandbox_latency_ms=70)
    assert {"--redis=", "--latency-ms=70"} <= set(alone.argv)


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    with _holder(tmp_path) as (_, url):
        with pytest.raises(StartError, match="in use by another run"):
            Servers(tmp_path, {REDIS}).start()
        with redis.Redis.from_url(url) as client:
            assert client.ping()


def test_servers_end_with_a_killed_starter(tmp_path: Path) -> None:
    with _holder(tmp_path) as (holder, _):
        (listed,) = status(tmp_path)
        assert listed.running
        identity = ProcessIdentity.from_json((tmp_path / "redis.pid").read_text())
        assert identity is not None
        holder.send_signal(signal.SIGKILL)
        assert wait_gone([identity], PATIENCE_S)
    (listed,) = status(tmp_path)
    assert not listed.running


def test_left_overs_of_a_crashed_run_are_ended_first(tmp_path: Path) -> None:
    with Servers(tmp_path / "a", {REDIS}) as crashed:
        pid_file = (tmp_path / "a" / "redis.pid").read_text()
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "redis.pid").write_text(pid_file)
        left = ProcessIdentity.from_json(pid_file)
        assert left is not None
        assert left.pid == crashed.pid(REDIS)
        with Servers(tmp_path / "b", {REDIS}) as servers:
            assert servers.ended_leftovers == [left]
            assert not is_running(left)


def test_a_server_that_cannot_start_takes_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir").write_text("a file where a folder belongs")
    with pytest.raises(StartError, match="redis ended while starting"):
        Servers(tmp_path, {REDIS, KAFKA}).start()
    assert status(tmp_path) == []
    with Servers(tmp_path, {KAFKA}) as servers:
        kafka = int(servers.settings["TOCSIN_KAFKA"].rpartition(":")[2])
        until(lambda: kafka_answers(kafka), "an answer within a second")


def test_an_unknown_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'etcd'"):
        Servers(tmp_path, {"etcd"}).start()


def test_probes_tell_servers_apart(servers: Servers) -> None:
    kafka = int(servers.addresses[KAFKA].rpartition(":")[2])
    clickhouse = urlsplit(servers.addresses[CLICKHOUSE]).port or 0
    (nobody,) = free_ports(1)
    until(lambda: kafka_answers(kafka), "an answer within a second")
    until(lambda: http_answers(clickhouse, "/ping"), "an answer within a second")
    assert not kafka_answers(clickhouse)
    assert not redis_answers(clickhouse)
    assert not redis_answers(nobody)
    assert not http_answers(nobody, "/ping")
    assert not kafka_answers(nobody)
