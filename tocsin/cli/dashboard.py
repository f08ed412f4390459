"""`tocsin dashboard`: the built-in pages over ClickHouse, in the browser."""

import os
import socket
import webbrowser
from typing import Annotated

import typer
import uvicorn
from pydantic import SecretStr

from dashboards.web.access import LEAST, is_loopback
from dashboards.web.app import Dashboard
from tocsin.app.settings import Settings, environment
from tocsin.cli.output import REFUSED, console, errors, fail, print_json

_USUAL_PORT = 8800
_GRACE_S = 2


def dashboard(
    *,
    host: Annotated[
        str, typer.Option(help="address to listen on; one that others reach needs a token")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="port; 0 for a free one", show_default="8800, or a free one"),
    ] = None,
    token_env: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="variable that holds the token; TOCSIN_DASHBOARD_TOKEN if not given"
        ),
    ] = "",
    open_browser: Annotated[bool, typer.Option("--open", help="open the browser")] = False,
    json: Annotated[bool, typer.Option("--json", help="print the address as one JSON object")] = False,
) -> None:
    """Show the figures, the rows behind them and the story of each notification, until Ctrl-C."""
    settings = Settings()
    token = read_token(settings.dashboard_token, token_env)
    check_access(host, token)
    listener = listen(host, port)
    address = address_of(listener, host)
    if json:
        print_json({"address": address})
    else:
        say(address, has_token=bool(token))
    if open_browser:
        webbrowser.open(address)
    app = Dashboard(settings.clickhouse, token=token, stream_clock=settings.clock == "stream").application()
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE_S
    )
    uvicorn.Server(config).run(sockets=[listener])


def read_token(usual: SecretStr, name: str) -> str:
    """Read the token from the named variable, else from TOCSIN_DASHBOARD_TOKEN; empty for none."""
    if not name:
        return usual.get_secret_value()
    token = environment().get(name, "")
    if not token:
        fail(f"--token-env: the variable {name} is not set, or empty", REFUSED)
    return token


def check_access(host: str, token: str) -> None:
    """End if others would reach pages without a token, or if the token is too easy to guess."""
    if token and len(token) < LEAST:
        fail(f"the token of the dashboard must have at least {LEAST} characters", REFUSED)
    if not token and not is_loopback(host):
        fail(
            f"--host {host} can be reached from other machines, and there is no token: "
            f"set TOCSIN_DASHBOARD_TOKEN to {LEAST} characters or more, or leave --host away",
            REFUSED,
        )


def listen(host: str, port: int | None, usual: int = _USUAL_PORT) -> socket.socket:
    """Open the port: the one asked for, else the usual one, else a free one."""
    try:
        return _bound(host, usual if port is None else port)
    except OSError as error:
        if port is None:
            return _bound_or_end(host, 0)
        fail(f"--host {host} --port {port}: {_reason(error)}; name another port, or 0 for a free one")


def _bound_or_end(host: str, port: int) -> socket.socket:
    try:
        return _bound(host, port)
    except OSError as error:
        fail(f"--host {host}: {_reason(error)}; name an address of this machine")


def _reason(error: OSError) -> str:
    """Say why without the address: Python writes it behind the reason of a port that cannot be had."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host.strip("[]"), port), family=family, backlog=128)


def address_of(listener: socket.socket, host: str) -> str:
    """Write the address that a browser of this machine opens."""
    everywhere = host.strip("[]") in {"0.0.0.0", "::"}  # noqa: S104  # compared, not listened on
    name = "127.0.0.1" if everywhere else host.strip("[]")
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{listener.getsockname()[1]}/"


def say(address: str, *, has_token: bool) -> None:
    """Print the address, and what whoever opens it can see."""
    console.print(f"[bold]{address}[/bold]", soft_wrap=True)
    who = "Whoever has the token" if has_token else "Everyone who uses this machine"
    errors.print(
        f"{who} sees the ids of users, events and notifications, and what became of them. "
        "Nobody sees an address, a device token or a text. Nothing can be changed. Ctrl-C ends it.",
        soft_wrap=True,
    )
    if has_token:
        errors.print(
            "The token and the pages are not encrypted: put a proxy with TLS before other networks.",
            soft_wrap=True,
        )
