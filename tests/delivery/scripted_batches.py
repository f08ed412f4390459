"""A provider that takes several messages in one request, and answers each from its user's script."""

import asyncio
from collections import deque
from collections.abc import Sequence

from msgspec import structs

from tests.operators.delivery import ScriptedProvider
from tocsin.errors import DeliveryError
from tocsin.model.content import Outgoing
from tocsin.providers.base import BatchLimits, Receipt

Whole = Exception | int
"""What becomes of a whole request: it fails, or so many answers are missing. The messages of one that fails
are taken only if the failure leaves that open.
"""


class BatchingProvider(ScriptedProvider):
    """Answers each message by its user's script. A number of seconds in it delays the whole request.

    Attributes:
        whole: what becomes of the next whole requests, before their messages are looked at.
        poison: users whose message the vendor refuses together with all that are in the request.
        requests: the users of each request.
    """

    def __init__(self, most: int = 10, name: str = "first", delay_s: float = 0) -> None:
        super().__init__(name, delay_s=delay_s)
        self.batch = BatchLimits(most)
        self.whole: deque[Whole] = deque()
        self.poison: dict[str, DeliveryError] = {}
        self.requests: list[list[str]] = []
        self.keys: dict[str, str] = {}

    def batch_key(self, outgoing: Outgoing) -> str:
        return self.keys.get(outgoing.message.user, "same")

    async def send(self, outgoing: Outgoing) -> Receipt:
        self.requests.append([outgoing.message.user])
        if poison := self.poison.get(outgoing.message.user):
            raise poison
        return await super().send(outgoing)

    async def send_batch(self, batch: Sequence[Outgoing]) -> Sequence[Receipt | DeliveryError]:
        users = [each.message.user for each in batch]
        self.requests.append(users)
        if found := next((self.poison[user] for user in users if user in self.poison), None):
            raise found
        whole = self.whole.popleft() if self.whole else 0
        if isinstance(whole, DeliveryError) and not whole.maybe_sent:
            raise whole
        answers = await asyncio.gather(*[self._each(outgoing) for outgoing in batch])
        if isinstance(whole, Exception):
            raise whole
        return answers[whole:]

    async def _each(self, outgoing: Outgoing) -> Receipt | DeliveryError:
        try:
            receipt = await super().send(outgoing)
            return structs.replace(receipt, provider_message_id=f"{self.name}-{outgoing.message.user}")
        except DeliveryError as error:
            return error
