"""Enters what a person does by a command into the audit log, by way of the topic `audit`."""

import getpass
import socket
import time

from tocsin.app.settings import Settings
from tocsin.cli.send import write
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord, Fact
from tocsin.model.ids import digest


def enter(
    settings: Settings, action: Action, tenant: str, subject: str, user: str = "", **detail: Fact
) -> None:
    """Write an audit record of this command; `subject` and `detail` hold no address."""
    at_ms = time.time_ns() // 1_000_000
    record = AuditRecord(
        audit_id=digest("audit", action, tenant, user, subject, str(at_ms)),
        at_ms=at_ms,
        action=action,
        actor=f"{getpass.getuser()}@{socket.gethostname()}",
        tenant=tenant,
        user=user,
        subject=subject,
        detail=detail,
    )
    write(settings, topics.AUDIT, f"{tenant}/{user or subject}", encode(record))
