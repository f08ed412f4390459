"""`POST /v1/broadcasts/{id}/pause`, `resume` and `cancel`."""

from collections.abc import Awaitable, Callable

from tocsin.formats.broadcasts import Action
from tocsin.gateway import audit
from tocsin.gateway.broadcasts import events
from tocsin.gateway.broadcasts.bodies import Accepted
from tocsin.gateway.broadcasts.creation import accepted
from tocsin.gateway.broadcasts.progress import known
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.model.audit import Action as Entered

_ACTIONS = (
    (Action.PAUSE, Entered.BROADCAST_PAUSE_ASKED, "Pause a broadcast; users that were not reached yet wait."),
    (Action.RESUME, Entered.BROADCAST_RESUME_ASKED, "Resume a broadcast that is paused."),
    (Action.CANCEL, Entered.BROADCAST_CANCEL_ASKED, "End a broadcast; users not reached yet get nothing."),
)


def _handler(action: Action, entered: Entered) -> Callable[[Call], Awaitable[Answer]]:
    async def change(call: Call) -> Answer:
        name = call.path["id"]
        await known(call, name)
        partitions = call.gateway.settings.partitions
        event = events.control_record(call.tenant, name, action, call.request_id, call.now_ms, partitions)
        await events.write(call.gateway.writer, [event, audit.entry(call, entered, name)])
        return accepted(name)

    return change


ENDPOINTS = tuple(
    Endpoint(
        "POST",
        f"/v1/broadcasts/{{id}}/{action.value}",
        _handler(action, entered),
        summary,
        scope="broadcasts:write",
        answers={202: Accepted},
    )
    for action, entered, summary in _ACTIONS
)
