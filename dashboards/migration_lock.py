"""A lock in ClickHouse: of two processes that migrate one database at once, the second waits.

Creating a table is atomic, also on servers without Keeper; the table's comment names the holder. A process
that was killed leaves its lock behind: the error tells who held it, for how long, and how to remove it.
"""

import contextlib
import getpass
import os
import socket
import threading
from collections.abc import Iterator

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tocsin.errors import SettingsError

_TABLE = "migration_lock"
_TABLE_EXISTS = 57
_POLL_S = 0.2


class Locked(SettingsError):
    """Another process holds the lock; the text names it, its age, and how to remove it."""


def actor() -> str:
    """Name who runs this process: the user and the machine, as audit records have it."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


@contextlib.contextmanager
def held(client: Client, wait_s: float) -> Iterator[None]:
    """Hold the lock of the client's database.

    Raises:
        Locked: another process still holds it after `wait_s`.
    """
    _take(client, wait_s)
    try:
        yield
    finally:
        release(client)


def release(client: Client) -> str:
    """Remove the lock, whoever holds it; return who did, empty if nobody."""
    holder = _holder(client)
    client.command(f"DROP TABLE IF EXISTS {_TABLE}")
    return holder


def _take(client: Client, wait_s: float) -> None:
    pause = threading.Event()
    while not _created(client):
        if wait_s <= 0:
            msg = (
                f"another process migrates this database: {_holder(client) or 'it has just ended'}; wait"
                " until it ends, or, if it is gone, remove its lock: `tocsin db unlock`"
            )
            raise Locked(msg)
        pause.wait(_POLL_S)
        wait_s -= _POLL_S


def _created(client: Client) -> bool:
    try:
        client.command(
            f"CREATE TABLE {_TABLE} (nothing UInt8) ENGINE = Memory COMMENT %(holder)s",
            parameters={"holder": f"{actor()} process {os.getpid()}"},
        )
    except DatabaseError as error:
        if error.code != _TABLE_EXISTS:
            raise
        return False
    return True


def _holder(client: Client) -> str:
    rows = client.query(
        "SELECT comment, dateDiff('second', metadata_modification_time, now()) FROM system.tables"
        " WHERE database = currentDatabase() AND name = {table:String}",
        parameters={"table": _TABLE},
    ).result_rows
    return f"{rows[0][0]}, for {rows[0][1]} s" if rows else ""
