"""Serves the application on a socket."""

import gc
import socket
from typing import Any, Literal

import uvicorn

from tocsin.app.health import HealthServer
from tocsin.app.open_files import allow_files
from tocsin.app.settings import Settings
from tocsin.gateway.app import Application
from tocsin.gateway.connections import guarded
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.meters import registry

_GRACE_S = 20
_KEEP_ALIVE_S = 30
_BACKLOG = 2_048
_OTHER_FILES = 512
_MOST_SAID = 4_096
_OBJECTS = 20_000
"""New objects until the youngest generation is searched: a list of 1,000 makes as many, and no cycles."""


class Server(uvicorn.Server):
    """Tells the gateway that it stops, so that answers that last for hours end at once.

    Args:
        app: the application.
        lifespan: off for an application that runs already.
    """

    def __init__(self, app: Application, lifespan: Literal["on", "off"] = "on") -> None:
        most = app.gateway.settings.gateway_connections
        super().__init__(uvicorn.Config(app, http=guarded(most), lifespan=lifespan, **_options()))
        self._gateway = app.gateway

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and finish what is in flight."""
        self._gateway.stopping.set()
        await super().shutdown(sockets)


def _options() -> dict[str, Any]:
    return {
        "ws": "websockets-sansio",
        "log_level": "error",  # a warning for each request that is no HTTP would fill the log
        # A compressor costs each connection 300 KB, and a change is some hundred bytes.
        "ws_per_message_deflate": False,
        "ws_max_size": _MOST_SAID,
        "access_log": False,
        "server_header": False,
        "backlog": _BACKLOG,
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "timeout_graceful_shutdown": _GRACE_S,
    }


def serve(listener: socket.socket, settings: Settings, number: int = 0) -> None:
    """Serve until SIGTERM or Ctrl-C: requests in flight are finished, and Kafka has their records.

    Args:
        listener: where requests come.
        settings: as resolved at the edge.
        number: of this process; its metrics have the port TOCSIN_HTTP_PORT plus this.
    """
    allow_files(settings.gateway_connections + _OTHER_FILES)
    gateway = Gateway(settings)
    port = settings.http_port + number if settings.http_port else 0
    health = HealthServer(settings.http_host, port, registry(gateway), gateway.checks)
    application = Application(gateway)
    gc.freeze()  # the catalog and the code stay: no search for garbage walks them
    gc.set_threshold(_OBJECTS)
    try:
        Server(application).run(sockets=[listener])
    finally:
        health.close()
