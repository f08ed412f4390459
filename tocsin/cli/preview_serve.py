"""Serves the preview page, until Ctrl-C."""

import webbrowser
from pathlib import Path
from urllib.parse import quote

import uvicorn

from tocsin.app.settings import Settings
from tocsin.cli.dashboard import address_of, check_access, listen, read_token
from tocsin.cli.output import console, errors, print_json
from tocsin.gateway.preview.pages import PreviewPages
from tocsin.gateway.preview.workbench import Workbench

_USUAL_PORT = 8810
_GRACE_S = 2


def serve(
    folder: Path,
    name: str,
    *,
    host: str,
    port: int | None,
    token_env: str,
    open_browser: bool,
    json: bool,
) -> None:
    """Show the page of a catalog folder, and reload what is edited in it.

    Args:
        folder: the catalog.
        name: the notification that is shown first; empty for none.
        host: address to listen on; one that others reach needs a token.
        port: None for the usual one, else a free one; 0 for a free one.
        token_env: variable that holds the token.
        open_browser: open the page.
        json: print the address as one JSON object.
    """
    token = read_token(Settings().dashboard_token, token_env)
    check_access(host, token)
    workbench = Workbench(folder)
    listener = listen(host, port, _USUAL_PORT)
    address = address_of(listener, host) + (f"preview#{quote(name)}" if name else "preview")
    if json:
        print_json({"address": address})
    else:
        console.print(f"[bold]{address}[/bold]", soft_wrap=True)
        errors.print(f"It shows {folder} as it is edited. Nothing is sent. Ctrl-C ends it.", soft_wrap=True)
    if open_browser:
        webbrowser.open(address)
    app = PreviewPages(workbench, token).application()
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE_S
    )
    uvicorn.Server(config).run(sockets=[listener])
