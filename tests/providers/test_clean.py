"""What providers say, without what they must not repeat."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.samples import ANDROID, EMAIL, IOS, PHONE, leaks, outgoing
from tocsin.model.content import EmailContent, Outgoing, PushContent, SmsContent
from tocsin.model.message import Target
from tocsin.providers.clean import LOOKED_AT, MAX_LENGTH, clean, clean_of_all


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (f"550 5.1.1 <{EMAIL}>: user unknown", "550 5.1.1 <[…]>: user unknown"),
        (f"The 'To' number {PHONE} is not valid", "The 'To' number […] is not valid"),
        ("Number 0650 123 45 67 blocked", "Number […] blocked"),
        (f"token {ANDROID} unknown", "token […] unknown"),
        (f"token {IOS} unknown", "token […] unknown"),
        ("see https://x.example/a?t=1 now", "see […] now"),
        ("said 'wherefore art thou dear customer' there", "said […] there"),
        ("Invalid 'To' or \"From\"", "Invalid 'To' or \"From\""),
        ("a\r\n\tb\x00c", "a b c"),
        (
            "SENDER_ID_MISMATCH at personalizations.0.to.0.email",
            "SENDER_ID_MISMATCH at personalizations.0.to.0.email",
        ),
        ("TooManyProviderTokenUpdates", "TooManyProviderTokenUpdates"),
        ("", ""),
    ],
)
def test_known_texts(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_what_was_sent_is_struck_out_wherever_it_is() -> None:
    text = "no mailbox ada.lovelace; subject was Gate B12 moved; body was wherefore art thou"
    assert not leaks(clean(text, outgoing("email")))


def test_short_contents_too() -> None:
    content = EmailContent(subject="Hi Ada", text="Soon", html="", sender="flights@example.com")
    assert clean("refused: Hi Ada / Soon", outgoing("email", content)) == "refused: […] / […]"


def test_data_and_subscriptions_too() -> None:
    target = Target("x", subscription={"auth": "k3y"})
    push = outgoing("push", PushContent("T", "B", {"seat": "14C"}), target=target)
    assert clean("bad value 14C for k3y", push) == "bad value […] for […]"


def test_the_beginning_of_a_text_too() -> None:
    content = EmailContent("s", "Dear Ada, your flight to Newark is cancelled", "", "a@example.com")
    said = "spam found in: dear Ada, your flight to N"
    assert clean(said, outgoing("email", content)) == "spam found in: […] […] […] […] […] […]"


def test_words_inside_other_words_stay() -> None:
    content = EmailContent(subject="rat", text="", html="", sender="a@example.com")
    assert clean("rate of rat", outgoing("email", content)) == "rate of […]"


@pytest.mark.parametrize("piece", ["a", "a.b", "a+", "1 ", "' ", "'x ", "hello "])
def test_a_long_text_takes_no_longer_than_what_is_looked_at(piece: str) -> None:
    """Seconds are far from what is needed: 12,000 characters once took the loop nine."""
    long_mail = EmailContent("Hi", "lorem ipsum dolor sit amet " * 4_000, "", "a@example.com")
    started = time.process_time()
    cleaned = clean(piece * 20_000, outgoing("email", long_mail))
    assert time.process_time() - started < 5
    assert cleaned == clean(piece * 40_000, outgoing("email", long_mail))


NEAR_THE_CUT = [
    "ada.lovelace+flights@mail.example.com",
    "+43 650 123 45 67 89",
    "said 'see you at my lawyer's office tomorrow at nine, dear' there",
    "token " + "7fA9" * 30,
    "https://x.example/a?t=" + "1" * 40,
]


def at_the_cut(told: str, outgoing: Outgoing | None = None) -> set[str]:
    """Words that show when the cut goes through each part of what was told; before it is but a token."""
    texts = [f"{'x1' * ((LOOKED_AT - back) // 2)} {told} {'and so on ' * 20}" for back in range(3, 160, 2)]
    return {word for text in texts for word in re.findall(r"\w+", clean(text, outgoing))}


@pytest.mark.parametrize("told", NEAR_THE_CUT)
def test_what_the_cut_goes_through_is_not_shown(told: str) -> None:
    assert at_the_cut(told) <= {"said", "there", "token", "and", "so", "on"}


def test_a_content_the_cut_goes_through_is_not_shown() -> None:
    body = "航班已取消。" * 6
    assert at_the_cut(body, outgoing("sms", SmsContent(body, 1, "UCS-2"))) == {"and", "so", "on"}


WORDS = st.text(st.sampled_from("abcdefghij"), min_size=1, max_size=12)
LOCAL = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789.+_-"), min_size=1, max_size=20)


@given(WORDS, LOCAL, WORDS, st.sampled_from("<>(),;: '\""))
def test_no_mail_address_survives(before: str, local: str, domain: str, around: str) -> None:
    address = f"{local}@{domain}.example"
    assert address not in clean(f"{before} {around}{address}{around} {before}")
    assert "@" not in clean(f"{before} {address}")


@given(st.integers(10**6, 10**15), st.sampled_from(["", "+", "00", "("]))
def test_no_phone_number_survives(number: int, prefix: str) -> None:
    assert str(number) not in clean(f"to {prefix}{number} failed")


@given(st.text(st.sampled_from("abcdefABCDEF0123456789-_"), min_size=40, max_size=300))
def test_no_long_token_survives(token: str) -> None:
    assert token not in clean(f"token {token} is bad")


@given(st.text(), st.sampled_from(["email", "sms", "push", "inapp"]))
def test_the_result_is_one_short_line(text: str, channel: str) -> None:
    for cleaned in (clean(text), clean(text, outgoing(channel))):
        assert len(cleaned) <= MAX_LENGTH
        assert cleaned.isprintable() or not text.isprintable()
        assert "\n" not in cleaned


def test_a_batch_is_cleaned_of_what_any_of_its_messages_holds() -> None:
    lines = "Dear {0},\nthe keen navigator\nof gate {0}\n"
    batch = [
        outgoing(
            "email",
            EmailContent("s", lines.format(name), "", "a@example.com"),
            target=Target(f"{name}@x.example"),
        )
        for name in ("ada", "grace")
    ]
    for said in (
        "grace",
        "grace@x.example",
        "Dear grace, the",
        "keen navigator of",
        "NAVIGATOR OF GATE",
    ):
        text = clean_of_all(f"refused: {said}; try again", batch)
        assert not set(text.lower().split()) & {"grace", "dear", "keen", "navigator"}, text
        assert text.startswith("refused: ")
    assert clean_of_all("the key is wrong", ()) == "the key is wrong"
