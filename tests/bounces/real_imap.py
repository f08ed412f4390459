"""Dovecot on 127.0.0.1, where it is installed: the judge of the reader of IMAP folders."""

import getpass
import grp
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bounces.scripted_imap import PASSWORD
from tests.waiting import PATIENCE_S, until
from tocsin.devkit.processes import free_ports

_CONFIG = """\
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
{users}
mail_location = maildir:{folder}/home/mail
first_valid_uid = 1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
"""


_NOBODY = 65_534


class Dovecot(NamedTuple):
    """A running server: its port, and the Maildir of its user."""

    port: int
    mail: Path
    owner: tuple[int, int]

    def deliver(self, raw: bytes) -> None:
        """Put a mail into the inbox."""
        new = self.mail / "new"
        new.mkdir(parents=True, exist_ok=True)
        name = f"{len(list(self.mail.rglob('*.host*'))):04}.host"
        (self.mail / "tmp").mkdir(exist_ok=True)
        (self.mail / "tmp" / name).write_bytes(raw)
        for made in (self.mail, new, self.mail / "tmp", self.mail / "tmp" / name):
            os.chown(made, *self.owner)
        (self.mail / "tmp" / name).rename(new / name)

    def lies_in(self, folder: str) -> list[bytes]:
        """List the mails of a folder."""
        place = self.mail if folder == "INBOX" else self.mail / f".{folder.removeprefix('INBOX.')}"
        files = [file for part in ("new", "cur") for file in sorted((place / part).glob("*"))]
        return [file.read_bytes() for file in files]


def installed() -> bool:
    """Tell whether this machine has it."""
    return shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin") is not None


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """Run it in the foreground until the block ends, in a folder that the owner of the mails can reach."""
    with TemporaryDirectory(prefix="dovecot-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        with _running(folder) as found:
            yield found


@contextmanager
def _running(folder: Path) -> Iterator[Dovecot]:
    (port,) = free_ports(1)
    # Root may own no mail, and must not be the user of the login process.
    owner = (os.getuid(), os.getgid()) if os.getuid() else (_NOBODY, _NOBODY)
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    ours = f"default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}"
    users = ours if os.getuid() else ""
    (folder / "home").mkdir()
    os.chown(folder / "home", *owner)
    config = folder / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            port=port,
            password=PASSWORD,
            users=users,
            uid=owner[0],
            gid=owner[1],
        )
    )
    process = subprocess.Popen(
        ["dovecot", "-F", "-c", str(config)], env=os.environ | {"PATH": "/usr/sbin:/usr/bin"}
    )
    try:
        until(lambda: _answers(port))
        yield Dovecot(port, folder / "home" / "mail", owner)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            return client.recv(4) == b"* OK"
    except OSError:
        return False
