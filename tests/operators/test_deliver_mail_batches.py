"""Batches of mail through the engine, with real adapters and the sandbox's judges."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.operators.delivery import Rig, policy
from tests.providers.judging import mailgun, mandrill, sendgrid
from tests.providers.messages import message, record
from tocsin.devkit.sandbox.faults import Fault
from tocsin.model.content import Content, EmailContent
from tocsin.model.message import Message, Target

Build = Callable[..., Rig]
WRONG = "no address"


def content(letter: Message) -> Content:
    """Render a mail that says a user's name in each part."""
    name = letter.user
    return EmailContent(f"Hi {name}", f"Hi {name}\n", f"<p>Hi {name}</p>\n", "news@example.com")


def letters(addresses: dict[str, str]) -> list[Any]:
    return [
        record(message(user, number, target=Target(address)), number)
        for number, (user, address) in enumerate(addresses.items())
    ]


def ends(rig: Rig) -> dict[str, str]:
    """Status and reason of the last outcome, by user."""
    return {line.user: f"{line.status} {line.reason}".strip() for line in rig.outcomes()}


@pytest.mark.parametrize("vendor", [sendgrid, mailgun, mandrill])
def test_one_wrong_address_fails_alone_and_nobody_gets_two(rig: Build, vendor: Callable[[], Any]) -> None:
    provider, transport = vendor()
    people = {f"u{n}": f"u{n}@example.com" for n in range(8)}
    addresses = people | {"u3": WRONG, "u5": "U6@example.com"}  # u5 and u6 share a mailbox
    made = rig([provider], render=content, settings=policy()).feed(*letters(addresses)).until_acked(8)
    assert ends(made) == dict.fromkeys(people, "sent") | {"u3": "dead rejected"}
    got = Counter(call.recipient for call in transport.calls)
    assert got == Counter(address for address in addresses.values() if address != WRONG)
    assert {call.recipient: call.title for call in transport.calls} == {
        address: f"Hi {user}" for user, address in addresses.items() if address != WRONG
    }
    assert transport.requests < 8 + 7, "the batch was taken apart no further than it had to be"


def test_what_mandrill_says_of_each_recipient_is_each_message_s_end(rig: Build) -> None:
    provider, transport = mandrill()
    transport.faults["u1@example.com"] = Fault("bounce", code="hard-bounce")
    transport.faults["u2@example.com"] = Fault("bounce", code="unsub")
    addresses = {f"u{n}": f"u{n}@example.com" for n in range(4)}
    made = rig([provider], render=content).feed(*letters(addresses)).until_acked(4)
    assert transport.requests == 1
    assert ends(made) == {
        "u0": "sent",
        "u1": "dead recipient_gone",
        "u2": "dead recipient_opted_out",
        "u3": "sent",
    }
    assert {receipt.kind for receipt in made.receipts()} == {"gone", "opted_out"}
