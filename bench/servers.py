"""Waiting for a server that a bench started."""

import socket
import time


def wait_for(port: int) -> None:
    """Wait until the server listens.

    Raises:
        OSError: it does not within ten seconds.
    """
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    msg = "the server did not start"
    raise OSError(msg)
