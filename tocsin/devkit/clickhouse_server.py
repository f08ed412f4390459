"""Runs the embedded ClickHouse: a local process that speaks ClickHouse's HTTP interface over chDB.

`python -m tocsin.devkit.clickhouse_server --port 8123 --path DIR` serves 127.0.0.1 until SIGTERM. Data are
on disk and survive `kill -9` of the process (a test does it). Like a ClickHouse server it does not fsync
inserts.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from tocsin.devkit.probes import http_answers
from tocsin.devkit.processes import Service

_GRACE_S = 5


def service(port: int, data: Path) -> Service:
    """Describe a server on 127.0.0.1:`port` that keeps its data in `data`."""
    data.mkdir(parents=True, exist_ok=True)
    return Service(
        name="clickhouse",
        argv=(sys.executable, "-m", "tocsin.devkit.clickhouse_server", f"--port={port}", f"--path={data}"),
        ready=lambda: http_answers(port, "/ping"),
        settings={"TOCSIN_CLICKHOUSE": f"http://default:@127.0.0.1:{port}/tocsin"},
        addresses={"clickhouse": f"http://127.0.0.1:{port}/"},
    )


def serve(port: int, path: Path) -> None:
    """Serve until a signal; queries under way end first."""
    os.environ["TZ"] = "UTC"  # as ClickHouse's own images have it; must be set before the engine loads
    import uvicorn

    from tocsin.devkit.clickhouse_engine import Engine
    from tocsin.devkit.clickhouse_http import application

    scratch = path.resolve() / "http_bodies"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    engine = Engine(path.resolve() / "data")
    try:
        uvicorn.run(
            application(engine, scratch),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    finally:
        engine.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="tocsin.devkit.clickhouse_server", description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--path", type=Path, required=True, help="folder of the data")
    arguments = parser.parse_args()
    serve(arguments.port, arguments.path)


if __name__ == "__main__":
    main()
