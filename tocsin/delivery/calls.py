"""Calls providers, with one message or with several in one request. Each message gets exactly one answer.

| the provider | answer of each message |
|---|---|
| returns one answer a message | its own |
| refuses the whole request for good | that of a smaller request: it is halved until one message fails alone |
| fails as a whole otherwise | the same failure |
| does not answer in time, as many times as it should, or with an answer | unknown |

Messages that are ready at the same moment share a request if account, tenant, template and the provider's
own key are the same. The first of them waits `LINGER_S` for the others, or until the request is full.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import NamedTuple, TypeVar, cast

from tocsin.delivery.deadlines import Deadlines
from tocsin.errors import DeliveryError, Unknown
from tocsin.model.content import Outgoing
from tocsin.providers.base import BatchProvider, Provider, Receipt

Answer = Receipt | DeliveryError
LINGER_S = 0.002
"""Claims come back in groups, one for a round trip to Redis; this joins two of them."""

_T = TypeVar("_T")
_Key = tuple[Provider, str, str, str]


class _Waiting(NamedTuple):
    outgoing: Outgoing
    answer: "asyncio.Future[Answer]"


class _Batch(NamedTuple):
    provider: BatchProvider
    waiting: list[_Waiting]


class Calls:
    """Makes provider calls and ends each by its deadline. All methods belong to the loop's thread."""

    def __init__(self) -> None:
        self._deadlines = Deadlines()
        self._open: dict[_Key, _Batch] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def send(self, provider: Provider, outgoing: Outgoing) -> Answer:
        """Hand a message to a provider; never raises."""
        answer = await self._sent(provider, outgoing)
        return answer if isinstance(answer, Answer) else _no_answer(type(answer).__name__)

    def _sent(self, provider: Provider, outgoing: Outgoing) -> Awaitable[Answer]:
        if getattr(provider, "batch", None) is None:
            return self._ended(provider, provider.send(outgoing))
        return self._send_with_others(cast("BatchProvider", provider), outgoing)

    async def _send_with_others(self, batching: BatchProvider, outgoing: Outgoing) -> Answer:
        try:
            key = batching.batch_key(outgoing) if batching.batch.most > 1 else ""
        except Exception as error:  # the flow's edge, as below; nothing has been sent
            return _as_answer(error)
        return await (
            self._join(batching, key, outgoing) if key else self._ended(batching, batching.send(outgoing))
        )

    def _join(self, provider: BatchProvider, name: str, outgoing: Outgoing) -> "asyncio.Future[Answer]":
        loop, message = asyncio.get_running_loop(), outgoing.message
        key = (provider, message.tenant, message.template, name)
        batch = self._open.get(key)
        if batch is None:
            batch = self._open[key] = _Batch(provider, [])
            loop.call_later(LINGER_S, self._close, key, batch)
        answer: asyncio.Future[Answer] = loop.create_future()
        batch.waiting.append(_Waiting(outgoing, answer))
        if len(batch.waiting) >= provider.batch.most:
            self._close(key, batch)
        return answer

    def _close(self, key: _Key, batch: _Batch) -> None:
        """Send a batch, unless it was full and is out."""
        if self._open.get(key) is batch:
            del self._open[key]
            task = asyncio.get_running_loop().create_task(self._carry(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _carry(self, batch: _Batch) -> None:
        answers = await self._answers(batch.provider, [each.outgoing for each in batch.waiting])
        for each, answer in zip(batch.waiting, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(answer)

    async def _answers(self, provider: BatchProvider, batch: Sequence[Outgoing]) -> Sequence[Answer]:
        if len(batch) == 1:
            return [await self._ended(provider, provider.send(batch[0]))]
        answers = await self._ended(provider, provider.send_batch(batch))
        if not isinstance(answers, DeliveryError):
            fits = len(answers) == len(batch) and all(isinstance(each, Answer) for each in answers)
            return answers if fits else [_no_answer("batch")] * len(batch)
        if not answers.permanent:
            return [answers] * len(batch)
        middle = len(batch) // 2
        first = await self._answers(provider, batch[:middle])
        return [*first, *await self._answers(provider, batch[middle:])]

    async def _ended(self, provider: Provider, work: Awaitable[_T]) -> _T | DeliveryError:
        """Wait for a call until its deadline; what it raises is its answer."""
        try:
            return await self._deadlines.within(provider.limits.timeout_s, work)
        except Exception as error:  # the flow's edge: a fault of an adapter leaves the outcome unknown
            return _as_answer(error)


def _as_answer(error: Exception) -> DeliveryError:
    if isinstance(error, DeliveryError):
        return error
    if isinstance(error, TimeoutError):
        return Unknown("no answer within the deadline", code="timeout")
    return _no_answer(type(error).__name__)


def _no_answer(code: str) -> Unknown:
    """Say that an adapter failed: what it called may have taken the message."""
    return Unknown("the adapter failed", code=code)
