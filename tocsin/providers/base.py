"""The port every provider adapter implements, and what it declares about itself."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from tocsin.errors import DeliveryError
from tocsin.model.content import Outgoing
from tocsin.model.message import Message


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The provider has the message. `provider_message_id` is how its webhooks will name it."""

    provider_message_id: str = ""
    code: str = ""


class Limits(msgspec.Struct, frozen=True):
    """What a vendor takes, as data; the table-driven contract suite checks each adapter against it.

    Attributes:
        max_bytes: largest body of one request (push: largest payload), 0 for none.
        max_chars: longest text in characters, 0 for none.
        rate_per_s: requests a second the account allows by default, 0 for unknown.
        timeout_s: how long one call may take before it counts as `Unknown`.
        at_once: requests at once that its connections carry, 0 for no bound.
    """

    max_bytes: int = 0
    max_chars: int = 0
    rate_per_s: float = 0
    timeout_s: float = 10
    at_once: int = 0


class BatchLimits(msgspec.Struct, frozen=True):
    """How much one request of a `BatchProvider` carries.

    Attributes:
        most: messages in one request; 1 sends each alone.
    """

    most: int = 1


class Provider(Protocol):
    """One account at one vendor.

    `send` returns a `Receipt` or raises exactly one `tocsin.errors.DeliveryError`; it never blocks the loop,
    never retries by itself (a token renewed once on 401 is the only exception) and never logs an address.
    """

    name: str
    limits: Limits

    @property
    def channel(self) -> str:
        """Name the channel that it carries."""
        ...

    def accepts(self, message: Message) -> bool:
        """Tell whether this account can carry the message: its channel and, for push, its platform."""
        ...

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand one message to the vendor."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class BatchProvider(Provider, Protocol):
    """A provider that takes several messages in one request.

    The messages of a request are of one tenant and one template, were ready at the same moment, and each is
    for another user. Each was claimed for itself before, and has its own outcome. A message without company
    goes through `send`.
    """

    batch: BatchLimits

    def batch_key(self, outgoing: Outgoing) -> str:
        """Name what the messages of one request must have in common; messages of an empty name go alone."""
        ...

    async def send_batch(self, batch: Sequence[Outgoing]) -> Sequence[Receipt | DeliveryError]:
        """Hand several messages to the vendor; returns the answer to each, in their order.

        A `DeliveryError` that is raised is about the whole request, and holds for each of its messages:
        after `Unknown`, each may have been sent. A permanent one says that the vendor took none of them
        because of some: the request is then taken apart, until each of those has failed alone.
        """
        ...


@runtime_checkable
class Verifiable(Protocol):
    """A provider that can prove its credentials without sending anything."""

    async def verify(self) -> str:
        """Ask the vendor whether it takes the account's credentials.

        Returns:
            what the vendor says of the account, on one line: no name and no address of a person.

        Raises:
            tocsin.errors.DeliveryError: `Misconfigured` if it does not take them, another if it cannot say.
        """
        ...


@runtime_checkable
class AskableProvider(Protocol):
    """A provider that can be asked whether it has a message, for calls that got no answer.

    Attributes:
        ask_after_s: how long after a call its list surely has the message.
    """

    ask_after_s: float

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        """Look a message up.

        Args:
            outgoing: the message as it was handed over.
            since_ms: it was not handed over before this time.

        Returns:
            Its receipt, as `send` would have returned it; None if the vendor does not have it.

        Raises:
            DeliveryError: it cannot be asked: for now if the error is about the moment, else at all.
        """
        ...
