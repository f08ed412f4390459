"""What the handlers of this sub-package share: a gateway's changes, users of paths, conditions, audit."""

from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

from tocsin.errors import DecodeError
from tocsin.formats.codec import encode
from tocsin.formats.profiles import check_owner
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Parameter
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people.changing import Changes
from tocsin.gateway.people.entry import Entry
from tocsin.gateway.people.view import ProfileView
from tocsin.gateway.problems import FieldError, Problem
from tocsin.gateway.writer import Record
from tocsin.model import topics
from tocsin.model.audit import Action, AuditRecord, Fact
from tocsin.model.ids import digest

IF_MATCH: Final = Parameter(
    "if-match",
    "header",
    str,
    "the ETag of what you have read: another change since then is answered 412",
    example='"0a1b2c3d4e5f60718"',
)
_changes: "WeakKeyDictionary[Gateway, Changes]" = WeakKeyDictionary()


def changes_of(gateway: Gateway) -> Changes:
    """Return what reads and changes the profiles of a gateway."""
    found = _changes.get(gateway)
    if found is None:
        view = ProfileView(gateway.redis, gateway.settings.topic_prefix)
        found = _changes[gateway] = Changes(view, gateway.writer, gateway.clock_ms)
    return found


def user_of(call: Call) -> str:
    """Return the user of the path.

    Raises:
        Problem: it cannot be one.
    """
    return named_user(call.tenant, call.path["id"])


def named_user(tenant: str, user: str) -> str:
    """Return a user's id that a request names.

    Raises:
        Problem: it cannot be one.
    """
    try:
        check_owner(tenant, user)
    except DecodeError as error:
        cure = str(error).partition(": ")[2]
        raise Problem(422, f"`id`: {cure}", errors=[FieldError("id", "a text", cure)]) from None
    return user


def unknown_user() -> Problem:
    """Answer that there is no such user, of whichever tenant."""
    return Problem(404, "the tenant has no user of this id; PUT /v1/users/{id} makes one")


def check_match(headers: Mapping[str, str], tag: str, *, exists: bool) -> None:
    """Check the conditions of a request (RFC 9110, 13.1).

    Args:
        headers: of the request.
        tag: entity tag of what is there now.
        exists: whether anything is there.

    Raises:
        Problem: 412.
    """
    wanted, unwanted = headers.get("if-match", ""), headers.get("if-none-match", "")
    if wanted and not (exists and (wanted.strip() == "*" or tag in _tags(wanted))):
        raise Problem(412, "it has changed since you read it: read it again, then repeat your change")
    if unwanted and exists and (unwanted.strip() == "*" or tag in _tags(unwanted)):
        raise Problem(412, "it is there already: send the change without If-None-Match to replace it")


def _tags(value: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in value.split(",")}


def audit(
    request_id: str,
    at_ms: int,
    actor: str,
    owner: tuple[str, str],
    subject: str,
    action: Action = Action.USER_CHANGED,
    **detail: Fact,
) -> Record:
    """Make the record that tells the audit log who changed a user; it holds no address.

    Args:
        request_id: of the request.
        at_ms: when it came.
        actor: the id of the key, or the kind of link.
        owner: tenant and user.
        subject: what was changed.
        action: what was done.
        detail: facts.
    """
    tenant, user = owner
    record = AuditRecord(
        audit_id=digest("audit", action, tenant, user, subject, request_id),
        at_ms=at_ms,
        action=action,
        actor=actor,
        tenant=tenant,
        user=user,
        subject=subject,
        detail=detail,
    )
    return Record(topics.AUDIT, f"{tenant}/{user}".encode(), encode(record))


def audit_call(
    call: Call, user: str, subject: str, action: Action = Action.USER_CHANGED, **detail: Fact
) -> Record:
    """Make the audit record of a call with an API key."""
    assert call.caller is not None, "the endpoint has a scope"
    actor, owner = f"key {call.caller.key_id}", (call.tenant, user)
    return audit(call.request_id, call.now_ms, actor, owner, subject, action, **detail)


def known(entry: Entry) -> Entry:
    """Return the entry of a user who is there.

    Raises:
        Problem: 404.
    """
    if not entry.text:
        raise unknown_user()
    return entry
