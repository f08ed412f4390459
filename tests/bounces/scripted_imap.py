"""A small IMAP server in a thread: as much of RFC 3501, 6851 and 2177 as a reader of a folder uses."""

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Self, cast

PASSWORD = "open-sesame"


class ScriptedImap(socketserver.ThreadingTCPServer):
    """Serves one user; `folders` is name -> UID -> mail.

    Args:
        capabilities: beyond IMAP4rev1; without MOVE, mails are copied and deleted.
        cut_after: answers that many commands of a session, then drops it; 0 for never.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *capabilities: str, cut_after: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.capabilities = capabilities
        self.cut_after = cut_after
        self.folders: dict[str, dict[int, bytes]] = {"INBOX": {}}
        self.next_uid = 1
        self.arrived = threading.Event()
        self.port = cast("tuple[str, int]", self.server_address)[1]

    def deliver(self, raw: bytes) -> None:
        """Put a mail into the inbox."""
        self.folders["INBOX"][self.next_uid] = raw
        self.next_uid += 1
        self.arrived.set()

    def lies_in(self, folder: str) -> list[bytes]:
        """List the mails of a folder."""
        return list(self.folders.get(folder, {}).values())

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Session(socketserver.StreamRequestHandler):
    server: ScriptedImap
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.deleted: set[int] = set()
        self.wfile.write(b"* OK ready\r\n")
        for number, line in enumerate(iter(self.rfile.readline, b""), 1):
            if self.server.cut_after and number > self.server.cut_after:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            tag, _, rest = line.decode().strip().partition(" ")
            words = rest.upper().split(" ")
            name = words[1] if words[0] == "UID" else words[0]
            if name == "IDLE":
                self._idle(tag)
                continue
            for answer in getattr(self, f"do_{name.lower()}")(rest):
                self.wfile.write(answer if isinstance(answer, bytes) else f"* {answer}\r\n".encode())
            self.wfile.write(f"{tag} OK done\r\n".encode())
            if name == "LOGOUT":
                return

    def _idle(self, tag: str) -> None:
        self.server.arrived.clear()
        self.wfile.write(b"+ idling\r\n")
        if self.server.arrived.wait(5):
            self.wfile.write(b"* 1 EXISTS\r\n")
        self.rfile.readline()
        self.wfile.write(f"{tag} OK done\r\n".encode())

    @property
    def _inbox(self) -> dict[int, bytes]:
        return self.server.folders["INBOX"]

    def do_capability(self, _rest: str) -> Iterator[str]:
        yield " ".join(("CAPABILITY IMAP4rev1 NAMESPACE", *self.server.capabilities))

    def do_login(self, rest: str) -> Iterator[str]:
        assert PASSWORD in rest
        yield from ()

    def do_namespace(self, _rest: str) -> Iterator[str]:
        yield 'NAMESPACE (("INBOX." ".")) NIL NIL'

    def do_list(self, rest: str) -> Iterator[str]:
        name = rest.split(" ")[-1].strip('"')
        yield from ([f'LIST () "." "{name}"'] if name in self.server.folders else [])

    def do_create(self, rest: str) -> Iterator[str]:
        self.server.folders[rest.split(" ")[-1].strip('"')] = {}
        yield from ()

    def do_select(self, _rest: str) -> Iterator[str]:
        yield f"{len(self._inbox)} EXISTS"

    def do_noop(self, _rest: str) -> Iterator[str]:
        yield f"{len(self._inbox)} EXISTS"

    def do_search(self, _rest: str) -> Iterator[str]:
        yield " ".join(("SEARCH", *(str(uid) for uid in self._inbox if uid not in self.deleted)))

    def do_fetch(self, rest: str) -> Iterator[bytes]:
        for number, uid in enumerate(self._uids(rest), 1):
            raw = self._inbox[uid]
            head = f"* {number} FETCH (UID {uid} "
            if "BODY.PEEK" in rest:
                yield f"{head}BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")\r\n"
            else:
                at = '"14-Nov-2023 23:20:00 +0100"'
                yield f"{head}RFC822.SIZE {len(raw)} INTERNALDATE {at})\r\n".encode()

    def do_copy(self, rest: str) -> Iterator[str]:
        folder = self.server.folders[rest.split(" ")[-1].strip('"')]
        folder |= {uid: self._inbox[uid] for uid in self._uids(rest)}
        yield from ()

    def do_store(self, rest: str) -> Iterator[str]:
        self.deleted |= set(self._uids(rest))
        yield from ()

    def do_expunge(self, _rest: str) -> Iterator[str]:
        for uid in self.deleted:
            self._inbox.pop(uid, None)
        self.deleted.clear()
        yield from ()

    def do_move(self, rest: str) -> Iterator[str]:
        yield from self.do_copy(rest)
        for uid in self._uids(rest):
            del self._inbox[uid]

    def do_logout(self, _rest: str) -> Iterator[str]:
        yield "BYE"

    def _uids(self, rest: str) -> list[int]:
        found = re.match(r"UID \w+ ([\d,:]+)", rest)
        assert found
        ranges = [part.split(":") for part in found[1].split(",")]
        return [
            uid for ends in ranges for uid in range(int(ends[0]), int(ends[-1]) + 1) if uid in self._inbox
        ]
