"""Each vendor of e-mail carries attachments and images in its own form, within its own size."""

from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Any

import msgspec
import pytest

from tests.providers.samples import outgoing
from tests.providers.test_adapters import CASES, sends, served
from tocsin.devkit.sandbox.mails import read
from tocsin.devkit.sandbox.multipart import files_of
from tocsin.errors import Declined
from tocsin.model.content import Attachment, EmailContent, Outgoing
from tocsin.providers.dkim import DkimSigner
from tocsin.providers.mail_batch import Tags, mail_key
from tocsin.providers.mime import mime_bytes

PDF = Attachment("Räume „A“.pdf", "application/pdf", b"%PDF-" + bytes(range(256)) * 20)
LOGO = Attachment("logo.png", "image/png", b"\x89PNG\r\n", cid="logo")
MAIL = EmailContent("Bill", "Your bill\n", '<p><img src="cid:logo"> Your bill</p>\n', "a@example.com")
VENDORS = ("sendgrid", "ses", "mailgun", "mandrill")


def attached(*attachments: Attachment) -> Outgoing:
    return msgspec.structs.replace(outgoing("email", MAIL), attachments=attachments)


def tree(part: MIMEPart) -> Any:
    """Say of which parts a mail is made."""
    kind = part.get_content_type()
    return (kind, [tree(each) for each in part.iter_parts()]) if part.is_multipart() else kind


def parsed(*attachments: Attachment) -> EmailMessage:
    mail = mime_bytes(outgoing("email").message, MAIL, "mark", attachments)
    assert mail.count(b"\n") == mail.count(b"\r\n")
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    found = message_from_bytes(mail, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not any(part.defects for part in found.walk())
    return found


def test_images_stand_beside_the_text_that_shows_them_and_files_after_all() -> None:
    both = ("multipart/alternative", ["text/plain", "text/html"])
    assert tree(parsed()) == both
    assert tree(parsed(PDF)) == ("multipart/mixed", [both, "application/pdf"])
    assert tree(parsed(LOGO)) == ("multipart/related", [both, "image/png"])
    related = ("multipart/related", [both, "image/png"])
    assert tree(parsed(LOGO, PDF, PDF)) == (
        "multipart/mixed",
        [related, "application/pdf", "application/pdf"],
    )


def test_a_mail_is_read_as_it_was_written() -> None:
    parts = {part.get_filename(): part for part in parsed(LOGO, PDF).walk() if part.get_filename()}
    assert {name: part.get_content() for name, part in parts.items()} == {
        PDF.name: PDF.content,
        LOGO.name: LOGO.content,
    }
    assert parts[LOGO.name]["Content-ID"] == "<logo>"
    assert parts[LOGO.name].get_content_disposition() == "inline"
    assert parts[PDF.name].get_content_disposition() == "attachment"


def test_a_name_injects_nothing_and_a_long_one_keeps_to_the_line() -> None:
    evil = Attachment('a"\r\nBcc: x\\', "text/plain", b"x")
    (part,) = [each for each in parsed(evil).walk() if each.get_filename()]
    assert part.get_filename() == "a- Bcc: x-"
    long = Attachment("😀" * 80, "text/plain", b"x")
    assert [each.get_filename() for each in parsed(long).walk() if each.get_filename()] == [long.name]


def test_a_mail_without_attachments_is_the_same_bytes_as_ever_and_a_repeat_is() -> None:
    message = outgoing("email").message
    assert mime_bytes(message, MAIL, "m") == mime_bytes(message, MAIL, "m", ())
    assert mime_bytes(message, MAIL, "m", (PDF, LOGO)) == mime_bytes(message, MAIL, "m", (PDF, LOGO))
    assert DkimSigner(()).sign(mime_bytes(message, MAIL, "m", (PDF,)), 0).count(b"--=_mixed_") == 3


def test_mails_with_attachments_share_no_request() -> None:
    tags = Tags("<{}>".format, "<<")
    assert mail_key(attached(), tags)
    assert mail_key(attached(PDF), tags) == ""


def shown(vendor: str, body: bytes, kind: str) -> list[tuple[str, str, bytes, str]]:
    """Read the attachments of a request as the vendor does: name, type, content, cid."""
    if vendor == "mailgun":
        return [
            (part.name, part.type, part.content, part.name if part.field == "inline" else "")
            for part in files_of(kind, body)
        ]
    if vendor == "ses":
        raw = msgspec.json.decode(body)["Content"]["Raw"]["Data"]
        mail = message_from_bytes(msgspec.convert(raw, bytes), policy=policy.default)
        return [
            (
                str(p.get_filename()),
                p.get_content_type(),
                p.get_content(),
                str(p["Content-ID"] or "").strip("<>"),
            )
            for p in mail.walk()
            if p.get_filename()
        ]
    document = msgspec.json.decode(body)
    if vendor == "sendgrid":
        assert {file["disposition"] for file in document["attachments"]} == {"attachment", "inline"}
        return [
            (f["filename"], f["type"], msgspec.convert(f["content"], bytes), f.get("content_id", ""))
            for f in document["attachments"]
        ]
    mail = document["message"]
    files = [(f["name"], f["type"], msgspec.convert(f["content"], bytes), "") for f in mail["attachments"]]
    return files + [("", f["type"], msgspec.convert(f["content"], bytes), f["name"]) for f in mail["images"]]


@pytest.mark.integration
@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_vendor_is_given_name_type_content_and_cid(vendor: str) -> None:
    async with served(vendor, CASES[vendor].good) as (server, provider):
        await provider.send(attached(PDF, LOGO))
    (request,) = sends(server)
    found = {
        (kind, content, cid)
        for _, kind, content, cid in shown(vendor, request.body, request.headers["content-type"])
    }
    assert found == {(PDF.type, PDF.content, ""), (LOGO.type, LOGO.content, "logo")}
    names = [
        name for name, _, _, cid in shown(vendor, request.body, request.headers["content-type"]) if not cid
    ]
    assert names == [PDF.name]


@pytest.mark.integration
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_mail_that_is_too_large_for_a_vendor_goes_to_another_account(vendor: str) -> None:
    large = Attachment("x.bin", "application/octet-stream", b"x" * 7_000_000)
    async with served(vendor, CASES[vendor].good) as (server, provider):
        with pytest.raises(Declined) as caught:
            await provider.send(attached(*[large] * 5))
    assert (caught.value.code, sends(server)) == ("too_large", [])


def test_the_sandbox_lists_what_a_mail_brings() -> None:
    mail = read(mime_bytes(outgoing("email").message, MAIL, "", (PDF, LOGO)), "a@example.com")
    assert [(each.name, each.type, each.size, each.cid) for each in mail.attachments] == [
        (LOGO.name, LOGO.type, len(LOGO.content), "logo"),
        (PDF.name, PDF.type, len(PDF.content), ""),
    ]
