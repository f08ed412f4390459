"""`python -m tocsin.devkit.apache_kafka --dir DIR [--port N]`: one node of Apache Kafka itself, no Docker.

Needs Java 17 and, the first time, Maven. When the node answers, its bootstrap address is printed on a line of
its own. It stops with Ctrl-C, SIGTERM, or the end of the process that started it; its topics stay in DIR.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from tocsin.devkit.processes import StartError, die_with_parent
from tocsin.devkit.servers import APACHE_KAFKA, KAFKA, Servers

_POLL_S = 0.5


def serve(folder: Path, port: int) -> None:
    """Run the node until a signal, or until it ends.

    Raises:
        StartError: it did not come up, or ended by itself.
    """
    with Servers(folder, {APACHE_KAFKA}, ports={KAFKA: port} if port else {}) as servers:
        sys.stdout.write(servers.addresses[KAFKA] + "\n")
        sys.stdout.flush()
        while all(each.running for each in servers.status()):
            time.sleep(_POLL_S)
    msg = f"Kafka ended by itself; see {folder / 'kafka.log'}"
    raise StartError(msg)


def main() -> None:
    """Read the command line and run the node."""
    parser = argparse.ArgumentParser(prog="tocsin.devkit.apache_kafka", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder of its data and log")
    parser.add_argument("--port", type=int, default=0, help="port of the broker; 0 for a free one")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    die_with_parent()
    try:
        serve(arguments.dir, arguments.port)
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
