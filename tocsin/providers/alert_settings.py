"""Who is told when Tocsin cannot deliver: the part `alerts` of the accounts file.

```yaml
alerts:
  to:
    - {account: ops-mail, address: ops@example.com, sender: tocsin@example.com}
    - {account: ops-slack}
```
"""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field

from tocsin.providers.account_lines import Place

REACHED_BY_ADDRESS = frozenset({"email", "sms", "whatsapp", "voice"})
"""Channels whose accounts have no address of their own."""
UNFIT = frozenset({"inapp", "push", "webpush"})
"""Channels that reach users, not operators."""

_STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AlertTarget(BaseModel):
    """One way to tell somebody.

    Attributes:
        account: the account that carries it.
        address: of whom is told; empty where the account has an address of its own.
        sender: whom it comes from; empty where the account has a sender of its own.
    """

    model_config = _STRICT

    account: str
    address: str = ""
    sender: str = ""


class AlertSettings(BaseModel):
    """When and whom to tell.

    Attributes:
        to: each of them is told.
        window_s: the same alert is sent once in this time at most.
        down_s: an account is told of when it is down for so long; one that is refused, at once.
        dead_letters: so many of one channel and reason within ten minutes are told of.
    """

    model_config = _STRICT

    to: tuple[AlertTarget, ...] = Field(min_length=1)
    window_s: float = Field(3_600, ge=60, le=7 * 86_400)
    down_s: float = Field(60, ge=0, le=86_400)
    dead_letters: int = Field(20, ge=1)

    def mistakes(self, channels: Mapping[str, str]) -> Iterator[tuple[Place, str]]:
        """Say which targets cannot work; `channels` has the channel of each account."""
        for number, target in enumerate(self.to):
            place, channel = ("alerts", "to", str(number)), channels.get(target.account)
            if channel is None:
                yield (*place, "account"), f"there is no account {target.account}; add or correct it"
            elif channel in UNFIT:
                yield (*place, "account"), f"{channel} reaches users, not operators; use another account"
            elif channel in REACHED_BY_ADDRESS and not target.address:
                yield place, f"has no address; add `address:`, since {channel} needs one"
            elif channel == "email" and not target.sender:
                yield place, "has no sender; add `sender:`, since mails need one"
