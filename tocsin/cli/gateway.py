"""`tocsin gateway`: the HTTP gateway, until SIGTERM."""

import os
import signal
import socket
import sys
import threading
from contextlib import ExitStack
from typing import Annotated

import typer

from flows.housekeeping import every, parent_watch
from flows.readiness import READY_FD, ready_signal
from flows.supervisor import PARENT, Supervisor
from tocsin.app import logs
from tocsin.app.settings import Settings, environment
from tocsin.cli.dashboard import address_of, listen
from tocsin.cli.output import console, print_json
from tocsin.gateway import server

USUAL_PORT = 8080
_PARENT_WATCH_S = 1.0
_WORKER_STOP_S = 25.0


def gateway(
    *,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="port; 0 for a free one", show_default="8080, or a free one"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes that serve side by side")] = 1,
    json: Annotated[bool, typer.Option("--json", help="print the address as one JSON object")] = False,
    fd: Annotated[int, typer.Option(hidden=True, help="a socket that listens already")] = -1,
    number: Annotated[int, typer.Option(hidden=True, help="number of this process, from 0")] = 0,
) -> None:
    """Serve the HTTP gateway, until SIGTERM or Ctrl-C."""
    logs.configure()
    settings = Settings()
    settings.secret_bytes()
    if fd >= 0:
        _work(socket.socket(fileno=fd), settings, number)
        return
    listener = listen(host, port, USUAL_PORT)
    address = address_of(listener, host)
    if json:
        print_json({"address": address})
    else:
        console.print(f"[bold]{address}[/bold]", soft_wrap=True)
    if workers == 1:
        _serve(listener, settings, 0)
    else:
        raise typer.Exit(_supervise(listener, workers))


def _serve(listener: socket.socket, settings: Settings, number: int) -> None:
    """Serve; an end by signal is an orderly one, with exit code 0 (the server raises the signal again)."""
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    server.serve(listener, settings, number)


def _supervise(listener: socket.socket, workers: int) -> int:
    """Run processes that share the listening socket; one that dies is started again."""
    handed = listener.fileno()
    command = [sys.executable, "-m", "tocsin.cli.main", "gateway", f"--fd={handed}"]
    return Supervisor(
        workers,
        lambda number: [*command, f"--number={number}"],
        environment(),
        None,
        _WORKER_STOP_S,
        [handed],
    ).run()


def _work(listener: socket.socket, settings: Settings, number: int) -> None:
    """Serve as one of several processes; end when the supervisor is gone."""
    found = environment()
    ready_signal(int(found.get(READY_FD, "-1")))()
    gone = threading.Event()
    watch = parent_watch(int(found.get(PARENT, "0")) or os.getppid(), gone)

    def look() -> None:
        watch()
        if gone.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    with ExitStack() as stack:
        stack.enter_context(every(_PARENT_WATCH_S, look))
        _serve(listener, settings, number)
