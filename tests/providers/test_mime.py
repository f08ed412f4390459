"""Mails as bytes, judged by the standard library's parser."""

import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.samples import EMAIL, message
from tocsin.model.content import EmailContent
from tocsin.model.message import Target
from tocsin.providers.mail_headers import extra_headers, one_line
from tocsin.providers.mime import ascii_domain, encoded_words, fold, mime_bytes

ONCE = ("Date", "From", "Message-ID", "Subject", "MIME-Version", "To")
HEADERS = (*ONCE, "Auto-Submitted", "Content-Type", "X-Any")


def content(**fields: Any) -> EmailContent:
    defaults = {"subject": "s", "text": "plain\n", "html": "<p>rich</p>\n", "sender": "a@example.com"}
    return EmailContent(**(defaults | fields))


def parsed(mail: EmailContent, **fields: Any) -> EmailMessage:
    found = email.message_from_bytes(
        mime_bytes(message("email", **fields), mail), policy=email.policy.default
    )
    assert isinstance(found, EmailMessage)
    assert found.defects == []
    return found


def text_of(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


def test_the_headers_of_a_mail() -> None:
    mail = parsed(content(sender_name="Tocsin", reply_to="help@example.com"))
    assert all(len(mail.get_all(name, [])) == 1 for name in ONCE)
    assert mail["from"] == "Tocsin <a@example.com>"
    assert mail["to"] == EMAIL
    assert mail["reply-to"] == "help@example.com"
    assert mail["date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert mail["message-id"] == f"<{message('email').message_id}@example.com>"
    assert mail["auto-submitted"] == "auto-generated"


def test_a_long_unsubscribe_link_keeps_to_998_octets_a_line() -> None:
    link = "<https://example.com/u?t=" + "x" * 1_679 + ">"
    mail = content(headers={"List-Unsubscribe": link, "X-Any": "y" * 1_500}, subject="z" * 2_000)
    raw = mime_bytes(message("email"), mail)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    found = parsed(mail)
    assert "".join(found["list-unsubscribe"].split()) == link
    assert found["x-any"] == "y" * 1_500
    assert found["subject"] == "z" * 2_000


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=3_000), st.integers(1, 900))
def test_no_header_line_is_longer_than_998_octets(value: str, length: int) -> None:
    lines = fold("X" * length, one_line(value)).split("\r\n")
    assert all(len(line.encode()) <= 998 for line in lines)


@pytest.mark.parametrize(
    "name",
    ["n" * 2_000, "Smith, " + "n" * 2_000, '"q" ' * 600, "ü" * 1_500, "Skylark, Inc."],
)
def test_a_long_name_of_a_sender_stays_a_name(name: str) -> None:
    raw = mime_bytes(message("email"), content(sender_name=name))
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    display, address = parseaddr(email.message_from_bytes(raw)["From"].replace("\r\n", ""))
    assert (str(make_header(decode_header(display))), address) == (name.strip(), "a@example.com")


def test_a_name_with_specials_is_quoted_beside_an_address_beyond_ascii() -> None:
    raw = mime_bytes(message("email"), content(sender="ädä@example.com", sender_name="Skylark, Inc."))
    assert 'From: "Skylark, Inc." <ädä@example.com>\r\n'.encode() in raw


def test_a_header_whose_name_fills_a_line_is_left_out() -> None:
    raw = mime_bytes(message("email"), content(headers={"X" * 2_000: "1", "X-Ok": "2"}))
    assert b"XXX" not in raw
    assert b"X-Ok: 2\r\n" in raw


def test_plain_text_comes_before_html() -> None:
    mail = parsed(content())
    assert mail.get_content_type() == "multipart/alternative"
    parts = [part.get_content_type() for part in mail.iter_parts()]
    assert parts == ["text/plain", "text/html"]
    assert text_of(mail, "plain") == "plain\r\n"
    assert text_of(mail, "html") == "<p>rich</p>\r\n"


def test_one_text_alone_needs_no_parts() -> None:
    assert parsed(content(html="")).get_content_type() == "text/plain"
    assert parsed(content(text="")).get_content_type() == "text/html"
    assert parsed(content(html="", text="")).get_content() == ""


def test_unsubscribe_headers_stay_whole() -> None:
    link = f"<https://example.com/u/{'t' * 200}>, <mailto:u@example.com?subject={'t' * 60}>"
    post = "List-Unsubscribe=One-Click"
    raw = mime_bytes(
        message("email"), content(headers={"List-Unsubscribe": link, "List-Unsubscribe-Post": post})
    )
    assert b"List-Unsubscribe: <https://example.com/u/" in raw
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["list-unsubscribe"] == link


def test_extra_headers_cannot_take_the_place_of_ours() -> None:
    asked = dict.fromkeys(
        ["Bcc", "BCC", "to", "Content-Type", "Message-ID", "Received", "bad name", "x:y"], "evil"
    )
    mail = parsed(content(headers=asked | {"X-Ok": "1", "x-ok": "2", "auto-submitted": "auto-replied"}))
    assert "evil" not in str(mail)
    assert mail.get_all("x-ok") == ["2"]
    assert mail.get_all("auto-submitted") == ["auto-replied"]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(TEXT, TEXT, TEXT)
def test_any_subject_name_and_header_survive_and_inject_nothing(subject: str, name: str, header: str) -> None:
    raw = mime_bytes(message("email"), content(subject=subject, sender_name=name, headers={"X-Any": header}))
    raw.decode("ascii")
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    mail = email.message_from_bytes(raw)
    assert sorted(mail.keys()) == sorted(HEADERS)
    head = raw.partition(b"\r\n\r\n")[0]
    words = [word for line in head.split(b"\r\n") for word in line.split(b" ") if word.startswith(b"=?")]
    assert all(len(word) <= 75 for word in words if not subject.isascii())
    if "=?" not in subject:  # text that looks like an encoded word is read as one by every client
        assert str(make_header(decode_header(mail["Subject"]))) == one_line(subject)


@given(TEXT, TEXT)
def test_any_text_survives(text: str, html: str) -> None:
    mail = email.message_from_bytes(mime_bytes(message("email"), content(text=f"t{text}", html=f"h{html}")))
    parts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
    wanted = [each.replace("\r\n", "\n").replace("\r", "\n") for each in (f"t{text}", f"h{html}")]
    found = [part.decode().replace("\r\n", "\n") for part in parts if isinstance(part, bytes)]
    assert found == wanted


@given(TEXT)
def test_lines_stay_short(text: str) -> None:
    raw = mime_bytes(message("email"), content(text=text, html=text, subject=text[:50]))
    body = raw.partition(b"\r\n\r\n")[2]
    assert all(len(line) <= 78 for line in body.split(b"\r\n"))
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


def test_fold_breaks_at_blanks_and_never_before_the_first_word() -> None:
    folded = fold("X-Long", " ".join(["word"] * 40))
    assert all(len(line) <= 78 for line in folded.split("\r\n"))
    assert folded.replace("\r\n ", " ") == "X-Long: " + " ".join(["word"] * 40)
    assert fold("X", "y" * 500) == "X: " + "y" * 500


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_encoded_words_are_whole_characters(text: str) -> None:
    words = encoded_words(text).split(" ")
    if not one_line(text).isascii():
        for word in words:
            assert len(word) <= 75
            [(data, charset)] = decode_header(word)
            assert isinstance(data, bytes)
            data.decode(charset or "ascii")


@given(st.text(max_size=80))
def test_a_domain_never_raises(address: str) -> None:
    written = ascii_domain(address)
    assert "\n" not in written
    assert "\r" not in written


def test_extra_headers_are_one_line() -> None:
    assert extra_headers({"X": "a\r\n b\u2028c\x00d"}, frozenset())["X"] == "a b c d"


def test_a_local_part_beyond_ascii_stays() -> None:
    raw = mime_bytes(message("email", target=Target("ädä@bücher.example")), content())
    assert "To: <ädä@xn--bcher-kva.example>\r\n".encode() in raw


def test_a_domain_with_sharp_s_is_not_that_of_its_neighbour() -> None:
    mail = mime_bytes(message("email", target=Target("ada@straße.example")), content())
    assert b"To: ada@xn--strae-oqa.example\r\n" in mail
    assert b"strasse" not in mail
