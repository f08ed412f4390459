"""Mails that share a request: each recipient gets exactly their own, and nobody a word of another's."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.judging import mailgun, mandrill, sendgrid
from tests.providers.samples import MARKS, message, outgoing
from tests.providers.scripted_http import Answer, json_answer
from tests.providers.test_adapters import adapter, served
from tocsin.devkit.sandbox.content import Mail
from tocsin.errors import Misconfigured, Rejected, Throttled, Transient
from tocsin.model.content import EmailContent, Outgoing
from tocsin.model.message import Target
from tocsin.providers.mail_batch import Tags, share
from tocsin.providers.sendgrid import MAX_OWN_BYTES, batch_document

Texts = list[list[str]]
words = st.text(st.sampled_from("ab \n<&é"), max_size=12)


def texts(people: int) -> st.SearchStrategy[Texts]:
    return st.lists(st.lists(words, min_size=2, max_size=2), min_size=people, max_size=people)


@given(st.integers(1, 5).flatmap(texts))
def test_what_is_shared_and_what_is_own_make_the_texts_again(own: Texts) -> None:
    shared, values = share(own, Tags("[{}]".format, "["))
    for person, mine in zip(own, values, strict=True):
        filled = list(shared)
        for number, value in mine.items():
            filled = [text.replace(f"[{number}]", value) for text in filled]
        assert filled == person


@given(st.integers(2, 5).flatmap(texts))
def test_what_is_shared_is_in_everybodys_text(own: Texts) -> None:
    shared, _ = share(own, Tags(lambda _: "\0", "\0", "a<"))
    for place, text in enumerate(shared):
        for piece in text.replace("\n", "\0").split("\0"):
            assert all(piece in person[place] for person in own)


def test_a_text_that_all_have_needs_no_values() -> None:
    assert share([["same\n"], ["same\n"]], Tags(str, "#")) == (["same\n"], [{}, {}])


VENDORS = [sendgrid, mailgun, mandrill]
TEMPLATES = st.sampled_from(
    [
        ("Hi {}", "Hi {},\n{}\nBye {}\n", "<p>Hi {}</p>\n<p>{}</p>\n<p>{}</p>\n"),
        ("News", "{}{}{}", ""),
        ("{}", "", "<p>{} {}</p>{}"),
        ("50%{}%", "-{}-\n{{{}}}\n\\{}", "<style>a{{b}}</style>{}{{{}}}%{}%"),
        ("Gate", "one line {} {} {}", "<b>{}</b>{}{}\n\n"),
    ]
)
NAMES = st.text(
    st.sampled_from("abAB09 .,;-_%{}|*&<>\"'$\\üß☃\n") | st.characters(exclude_categories=["C"]),
    min_size=1,
    max_size=15,
)
OWN = st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=6)


def mails(template: tuple[str, str, str], own: Sequence[tuple[str, str, str]]) -> list[Outgoing]:
    """Render a template for people who have nothing in common."""
    subject, text, html = template
    return [
        outgoing(
            "email",
            EmailContent(
                subject=" ".join(subject.format(words[0]).split()) or "s",
                text=text.format(*words),
                html=html.format(*words),
                sender="news@example.com",
                headers={"List-Unsubscribe": "<https://e.com/all>"},
            ),
            target=Target(f"p{number}@example.com"),
            message_id=f"{number:032x}",
        )
        for number, words in enumerate(own)
    ]


def expected(mail: Outgoing) -> tuple[str, str, str]:
    content = mail.content
    assert isinstance(content, EmailContent)
    return content.subject, content.text, content.html


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=50)
@given(template=TEMPLATES, own=OWN)
def test_each_recipient_gets_exactly_their_own_mail(
    vendor: Any, template: tuple[str, str, str], own: Any
) -> None:
    """The sandbox's judges read the batch as the vendors do, and say what each recipient got."""
    provider, transport = vendor()
    groups: dict[str, list[Outgoing]] = {}
    for mail in mails(template, own):
        groups.setdefault(provider.batch_key(mail), []).append(mail)
    alone = groups.pop("", [])

    async def send() -> None:
        for mail in alone:
            await provider.send(mail)
        for group in groups.values():
            await provider.send_batch(group)

    asyncio.run(send())
    got = {call.recipient: (call, msgspec.json.decode(call.content, type=Mail)) for call in transport.calls}
    sent = [*alone, *[mail for group in groups.values() for mail in group]]
    assert len(transport.calls) == len(sent)
    for mail in sent:
        call, shown = got[mail.message.target.address]
        assert (shown.subject, shown.text, shown.html) == expected(mail)
        assert (call.message_id, shown.to) == (mail.message.message_id, mail.message.target.address)


async def test_a_thousand_people_share_a_request_and_their_own_links() -> None:
    for vendor in (sendgrid, mailgun):
        provider, transport = vendor()
        batch = [
            outgoing(
                "email",
                EmailContent(
                    "Hi",
                    f"Hi {n}\n",
                    "",
                    "a@example.com",
                    headers={"List-Unsubscribe": f"<https://e.com/{n}>"},
                ),
                target=Target(f"p{n}@example.com"),
                message_id=f"{n:032x}",
            )
            for n in range(1000)
        ]
        assert len({provider.batch_key(mail) for mail in batch}) == 1
        await provider.send_batch(batch)
        assert transport.requests == 1
        for number, call in enumerate(transport.calls):
            headers = dict(msgspec.json.decode(call.content, type=Mail).headers)
            assert headers["List-Unsubscribe"] == f"<https://e.com/{number}>"


def sendgrid_batch(*names: str) -> list[Outgoing]:
    return [
        outgoing(
            "email",
            EmailContent(f"Hi {n}", f"Hi {n}\n", "", "a@example.com"),
            target=Target(f"{n}@example.com"),
        )
        for n in names
    ]


async def test_what_one_address_makes_sendgrid_refuse_is_raised_as_permanent() -> None:
    """SendGrid took none of them: the batch may be taken apart, and nobody gets a mail twice."""
    answer = json_answer(
        400,
        {
            "errors": [
                {"message": "Does not contain a valid address.", "field": "personalizations.1.to.0.email"}
            ]
        },
    )
    async with served("sendgrid", answer) as (server, provider):
        with pytest.raises(Rejected) as caught:
            await provider.send_batch(sendgrid_batch("ada", "bob"))  # type: ignore[attr-defined]  # a BatchProvider
        assert len(server.requests) == 1
    assert caught.value.permanent
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(401, Misconfigured), (429, Throttled), (503, Transient)])
@pytest.mark.parametrize("vendor", ["sendgrid", "mailgun", "mandrill"])
async def test_what_fails_a_whole_request_fails_each_message(
    vendor: str, status: int, kind: type[Exception]
) -> None:
    async with served(vendor, Answer(status)) as (_, provider):
        with pytest.raises(kind):
            await provider.send_batch(sendgrid_batch("ada", "bob"))  # type: ignore[attr-defined]  # a BatchProvider


async def test_a_refusal_names_nobody_of_the_batch() -> None:
    said = "bob@example.com and Hi ada, the keen navigator are wrong"
    mails = sendgrid_batch("ada", "bob")
    mails[0] = outgoing("email", EmailContent("s", "Hi ada, the keen navigator\n", "", "a@example.com"))
    for vendor, body in (
        ("sendgrid", {"errors": [{"message": said}]}),
        ("mailgun", {"message": said}),
        ("mandrill", {"name": "ValidationError", "message": said}),
    ):
        async with served(vendor, json_answer(400, body)) as (_, provider):
            with pytest.raises(Rejected) as caught:
                await provider.send_batch(mails)  # type: ignore[attr-defined]  # a BatchProvider
        assert "bob" not in str(caught.value)
        assert "navigator" not in str(caught.value)


def test_sendgrid_takes_so_much_of_one_recipient() -> None:
    long = [f"{n}{'x' * MAX_OWN_BYTES}" for n in range(2)]
    mails = [
        outgoing("email", EmailContent("s", text, "", "a@example.com"), target=Target(f"p{n}@example.com"))
        for n, text in enumerate(["".join(reversed(long[0])), long[1]])
    ]
    with pytest.raises(Rejected, match="what differs in a batch in bytes"):
        batch_document(mails)


def test_marks_belong_to_a_recipient() -> None:
    document = batch_document(sendgrid_batch("ada", "bob"))
    ada, bob = document["personalizations"]
    assert ada["custom_args"]["tocsin_mark"] != bob["custom_args"]["tocsin_mark"]
    assert ada["custom_args"]["tocsin_mark"] == MARKS.of(message("email", target=Target("ada@example.com")))


@pytest.mark.parametrize("vendor", ["sendgrid", "mailgun", "mandrill"])
def test_a_batch_can_be_switched_off(vendor: str) -> None:
    provider: Any = adapter(vendor, "http://127.0.0.1:1", max_batch=1)
    assert provider.batch.most == 1


@pytest.mark.parametrize("vendor", ["sendgrid", "mailgun", "mandrill"])
@pytest.mark.parametrize(
    "change",
    [
        {"sender": "b@example.com"},
        {"sender_name": "B"},
        {"reply_to": "b@example.com"},
        {"text": "a\nb\n"},
        {"html": "<p>a</p>\n"},
        {"headers": {"X-A": "1"}},
    ],
)
def test_what_a_request_must_have_in_common(vendor: str, change: dict[str, Any]) -> None:
    provider: Any = adapter(vendor, "http://127.0.0.1:1")
    content = EmailContent("s", "a\n", "", "a@example.com")
    other = msgspec.structs.replace(content, **change)
    assert provider.batch_key(outgoing("email", content)) != provider.batch_key(outgoing("email", other))
    assert provider.batch_key(outgoing("sms")) == ""
