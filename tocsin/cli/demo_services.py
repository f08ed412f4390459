"""Describes the processes that run beside the demo's shards: its dashboard and its gateway."""

import sys
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from tocsin.devkit.probes import http_answers
from tocsin.devkit.processes import Service, free_ports

DASHBOARD: Final = "dashboard"
GATEWAY: Final = "gateway"


def dashboard_service(env: Mapping[str, str]) -> Service:
    """Describe the dashboard over the demo's ClickHouse."""
    (port,) = free_ports(1)
    return Service(
        name=DASHBOARD,
        argv=(sys.executable, "-m", "tocsin.cli.main", DASHBOARD, f"--port={port}"),
        ready=lambda: http_answers(port, "/healthz"),
        addresses={DASHBOARD: f"http://127.0.0.1:{port}/"},
        env=env,
    )


def gateway_service(env: Mapping[str, str]) -> Service:
    """Describe the gateway over the demo's servers."""
    port = urlsplit(env["TOCSIN_GATEWAY_URL"]).port or 0
    return Service(
        name=GATEWAY,
        argv=(sys.executable, "-m", "tocsin.cli.main", GATEWAY, f"--port={port}"),
        ready=lambda: http_answers(port, "/livez"),
        addresses={GATEWAY: env["TOCSIN_GATEWAY_URL"]},
        env={**env, "TOCSIN_HTTP_PORT": "0"},  # the shards have the others
    )
