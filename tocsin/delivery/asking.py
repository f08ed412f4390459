"""Asks the accounts that may have a message for it, after a call that got no answer."""

from collections.abc import Callable, Sequence

from tocsin.delivery import records
from tocsin.delivery.attempt import Asked, AttemptState
from tocsin.delivery.deadlines import Deadlines
from tocsin.delivery.records import ProviderCall
from tocsin.delivery.runtime import Runtime
from tocsin.errors import About, DeliveryError, Misconfigured, Transient
from tocsin.model.content import Outgoing
from tocsin.model.message import Message
from tocsin.providers.base import AskableProvider, Provider, Receipt

ProvidersFor = Callable[[Message], Sequence[Provider]]

SKEW_MS = 5_000
"""By how much the clock of a provider may be behind ours."""


class Asker:
    """Asks one account after the other, until one has the message. It never raises.

    The accounts are those whose calls got no answer. After a crash, and when the message was at the gate
    meanwhile, it is not known which they were: then every account that can carry the message is asked.
    """

    def __init__(self, runtime: Runtime, providers_for: ProvidersFor) -> None:
        self._runtime = runtime
        self._providers_for = providers_for
        self._deadlines = Deadlines()

    async def ask(self, state: AttemptState, outgoing: Outgoing) -> Asked:
        """Ask for the message; what is not known for now counts before what can never be known."""
        calls = records.unanswered(state.outputs)
        names = {call.provider for call in calls}
        known = names if calls and "" not in names else set()
        times = [call.at_ms + state.ahead_ms for call in calls]
        since_ms = min(times) - SKEW_MS if known else state.message.received_ms
        found = [
            await self._ask_one(provider, outgoing, since_ms, max(times, default=0))
            for provider in self._providers_for(state.message)
            if not known or provider.name in known
        ]
        missing = known - {asked.call.provider for asked in found}
        if missing or not found:
            call = ProviderCall(self._runtime.now_ms(), "".join(sorted(missing)[:1]))
            found.append(Asked(Misconfigured("the account is not there any more"), call, call.at_ms))
        return min(found, key=_importance)

    async def _ask_one(self, provider: Provider, outgoing: Outgoing, since_ms: int, called_ms: int) -> Asked:
        now_ms = self._runtime.now_ms()
        if not isinstance(provider, AskableProvider):
            call = ProviderCall(now_ms, provider.name)
            return Asked(Misconfigured("its interface has no way to ask"), call, now_ms)
        ready_ms = called_ms + round(provider.ask_after_s * 1_000)
        if now_ms < ready_ms:
            return Asked(None, ProviderCall(now_ms, provider.name), now_ms, ready_ms)
        answer = await self._find(provider, provider.limits.timeout_s, outgoing, since_ms)
        found = answer if isinstance(answer, Receipt) else Receipt(code=answer.code if answer else "")
        call = ProviderCall(
            now_ms,
            provider.name,
            code=records.writable(found.code),
            provider_message_id=records.writable(found.provider_message_id),
        )
        return Asked(answer, call, self._runtime.now_ms())

    async def _find(
        self, provider: AskableProvider, timeout_s: float, outgoing: Outgoing, since_ms: int
    ) -> Receipt | DeliveryError | None:
        try:
            return await self._deadlines.within(timeout_s, provider.find(outgoing, since_ms))
        except DeliveryError as error:
            return error
        except TimeoutError:
            return Transient("no answer within the deadline", code="timeout")
        except Exception as error:  # the flow's edge: a fault of an adapter is no answer
            return Misconfigured("the adapter failed", code=type(error).__name__)


def _importance(asked: Asked) -> int:
    """Order answers: found, not known yet, not known for now, never known, not there."""
    answer = asked.answer
    if isinstance(answer, Receipt):
        return 0
    if asked.again_ms:
        return 1
    if answer is None:
        return 4
    return 2 if answer.about is About.MOMENT else 3
