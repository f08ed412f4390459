"""DKIM: dkimpy verifies what we sign, and notices each change."""

import re
from base64 import b64encode
from functools import cache

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.providers.samples import message, outgoing
from tests.providers.test_smtp_mail import post_office
from tocsin.model.content import EmailContent
from tocsin.providers.dkim import DkimKey, DkimSigner
from tocsin.providers.mime import mime_bytes
from tocsin.providers.smtp_mail import SmtpAccount

AT_S = 1_700_000_000
KINDS = ("rsa", "ed25519")


@cache
def private(kind: str, bits: int = 2048) -> RSAPrivateKey | Ed25519PrivateKey:
    return Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(65_537, bits)


def pem(kind: str, bits: int = 2048) -> str:
    return private(kind, bits).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key(kind: str) -> DkimKey:
    return DkimKey.model_validate({"domain": "example.com", "selector": kind, "key": pem(kind)})


def record(name: bytes, timeout: int = 5) -> bytes:
    """Answer as DNS does: the public key of a selector."""
    kind = name.decode().partition(".")[0]
    public = private(kind, 2048).public_key()
    if kind == "rsa":
        data = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        data = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={b64encode(data).decode()}".encode()


def verified(mail: bytes, number: int = 0) -> bool:
    try:
        return bool(dkim.DKIM(mail).verify(idx=number, dnsfunc=record))
    except dkim.DKIMException:
        return False


def mail_of(content: EmailContent) -> bytes:
    return mime_bytes(message("email"), content, "mark")


PLAIN = EmailContent(subject="s", text="wherefore\n", html="<p>art</p>", sender="a@example.com")
UNSUBSCRIBE = {
    "List-Unsubscribe": "<https://example.com/u/" + "x" * 300 + ">, <mailto:u@example.com?subject=x>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["wherefore\n", "", "a  b \t\n\n\n", " x\n .\n\n", "Grüße " * 500])
def test_another_library_verifies_it(kind: str, text: str) -> None:
    content = EmailContent(
        subject="Gate  B12 – moved", text=text, html="", sender="a@example.com", headers=UNSUBSCRIBE
    )
    signed = DkimSigner([key(kind)]).sign(mail_of(content), AT_S)
    assert verified(signed)
    assert signed == DkimSigner([key(kind)]).sign(mail_of(content), AT_S), "a repeat is the same mail"
    assert max(map(len, signed.split(b"\r\n"))) <= 998


@given(
    text=st.text(st.characters(codec="utf-8"), max_size=200),
    subject=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80),
)
@settings(max_examples=20)
def test_any_text_can_be_signed(text: str, subject: str) -> None:
    content = EmailContent(subject=subject, text=text, html=f"<p>{text}</p>", sender="a@example.com")
    assert verified(DkimSigner([key("ed25519")]).sign(mail_of(content), AT_S))


def test_two_keys_sign_twice() -> None:
    signed = DkimSigner([key("rsa"), key("ed25519")]).sign(mail_of(PLAIN), AT_S)
    assert [verified(signed, number) for number in (0, 1)] == [True, True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"wherefore", b"Wherefore"),
        (b"Subject: ", b"Subject: x"),
        (b"<https://example.com/u/", b"<https://evil.example/u/"),
        (b"One-Click", b"Two-Click"),
        (b"\r\nFrom: ", b"\r\nFrom: evil@example.com\r\nFrom: "),
        (b"multipart/alternative", b"multipart/mixed"),
    ],
)
def test_a_change_is_noticed(old: bytes, new: bytes) -> None:
    content = EmailContent(
        subject="s", text="wherefore\n", html="<p>art</p>", sender="a@example.com", headers=UNSUBSCRIBE
    )
    signed = DkimSigner([key("rsa")]).sign(mail_of(content), AT_S)
    assert old in signed
    head, _, mail = signed.partition(b"Date: ")
    changed = head + b"Date: " + mail.replace(old, new, 1)
    assert changed != signed
    assert not verified(changed)


def test_the_headers_of_one_click_unsubscribe_are_covered() -> None:
    content = EmailContent(subject="s", text="t", html="", sender="a@example.com", headers=UNSUBSCRIBE)
    signed = DkimSigner([key("ed25519")]).sign(mail_of(content), AT_S)
    names = re.search(rb"h=([^;]*);", signed)
    assert names
    covered = {name.strip().lower() for name in names[1].split(b":")}
    assert {b"from", b"list-unsubscribe", b"list-unsubscribe-post"} <= covered


async def test_an_account_signs_what_it_sends() -> None:
    keys = [{"domain": "example.com", "selector": kind, "key": pem(kind)} for kind in KINDS]
    async with post_office(dkim=keys) as (smtp, mail):
        await mail.send(outgoing("email"))
        await mail.send(outgoing("email"))
        first, second = [sent.content for sent in smtp.mails]
    assert first == second
    assert verified(first)


@pytest.mark.parametrize(
    ("fields", "cure"),
    [
        ({"key": "nonsense"}, "must be a private key in PEM"),
        ({"key": pem("rsa", 1024).replace("A", "B", 40)}, "must be a private key in PEM"),
        ({"selector": "a b"}, "selector"),
        ({"domain": ""}, "domain"),
    ],
)
def test_a_key_that_cannot_sign_is_a_mistake(fields: dict[str, str], cure: str) -> None:
    entry = {"domain": "example.com", "selector": "s1", "key": pem("ed25519")} | fields
    with pytest.raises(ValidationError, match=cure) as caught:
        SmtpAccount.model_validate({"vendor": "smtp", "host": "mail.example.com", "dkim": [entry]})
    assert "PRIVATE" not in str(caught.value)
