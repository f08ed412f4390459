"""Runs one node of Apache Kafka: broker and KRaft controller in one process, data on disk, loopback only."""

import base64
import subprocess
import uuid
from pathlib import Path

from tocsin.devkit.kafka_jars import jars, java
from tocsin.devkit.probes import kafka_answers
from tocsin.devkit.processes import Service, StartError

_HEAP = "512m"
# A node that lives for minutes beside what it serves: the optimising compiler and a parallel collector would
# take more of two cores than they give back.
_BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def service(port: int, controller_port: int, data: Path) -> Service:
    """Describe a node on 127.0.0.1:`port`; its storage is formatted at the first start and then kept.

    Raises:
        StartError: Java or Maven is missing or failed.
    """
    data.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    properties.write_text(_properties(port, controller_port, data / "log"))
    run = [java(), f"-Xmx{_HEAP}", *_BRIEF, "-Dlog4j2.level=WARN", "-cp", f"{jars()}/*"]
    if not (data / "log" / "meta.properties").exists():
        _format(run, properties)
    address = f"127.0.0.1:{port}"
    return Service(
        name="kafka",
        argv=(*run, "kafka.Kafka", str(properties)),
        ready=lambda: kafka_answers(port),
        settings={"TOCSIN_KAFKA": address},
        addresses={"kafka": address},
    )


def _properties(port: int, controller_port: int, log: Path) -> str:
    """Write the node's configuration; every internal topic has the one replica there can be."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # After a kill the controller lets nobody in under this id until the old session is over.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(run: list[str], properties: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = [*run, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties)]
    formatted = subprocess.run(command, capture_output=True, text=True, check=False)
    if formatted.returncode:
        msg = f"Kafka's storage could not be formatted:\n{formatted.stdout[-2000:]}{formatted.stderr[-2000:]}"
        raise StartError(msg)
