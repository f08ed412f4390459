"""Enters what is done through the gateway into the audit log."""

from tocsin.formats.codec import encode
from tocsin.gateway.call import Call
from tocsin.gateway.writer import Record
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord, Fact
from tocsin.model.ids import digest


def entry(call: Call, action: Action, subject: str, user: str = "", **detail: Fact) -> Record:
    """Make the audit record of what a call does; write it with the call's other records.

    Args:
        call: the request; its key is the actor.
        action: what is done.
        subject: what it is about; like `detail` it holds no address.
        user: whose it is.
        detail: facts, by name.
    """
    caller = call.caller
    record = AuditRecord(
        audit_id=digest("audit", action, call.tenant, user, subject, call.request_id, str(call.now_ms)),
        at_ms=call.now_ms,
        action=action,
        actor=f"key:{caller.key_id}" if caller else "",
        tenant=call.tenant,
        user=user,
        subject=subject,
        detail={"request_id": call.request_id, **detail},
    )
    return Record(topics.AUDIT, f"{call.tenant}/{user or subject}".encode(), encode(record))
