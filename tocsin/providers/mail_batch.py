"""What e-mails of one template share: one text for all, and of each recipient only what is their own."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tocsin.errors import Rejected
from tocsin.model.content import EmailContent, Outgoing

Values = dict[int, str]
"""Number of a tag to the text that stands there for one recipient."""


class Tags(NamedTuple):
    """How a vendor writes a place where something is put in.

    Attributes:
        write: writes the tag of a number.
        opening: what every tag begins with; no text of a batch may hold it.
        apart: characters that must not touch a tag: the vendor would read them as a part of it.
    """

    write: Callable[[int], str]
    opening: str
    apart: str = ""


def share(texts: Sequence[Sequence[str]], tags: Tags) -> tuple[list[str], list[Values]]:
    r"""Split texts of several recipients into shared ones with tags, and the values of each recipient.

    A shared text holds only what is the same for all: nobody sees another's data. Who puts a recipient's
    values in place of the tags gets that recipient's texts again, exactly.

    Args:
        texts: of each recipient the same number of texts.
        tags: of the vendor.

    >>> share([["Hi Ada!\nBye\n"], ["Hi Bob!\nBye\n"]], Tags("<{}>".format, "<"))
    (['Hi <0>!\nBye\n'], [{0: 'Ada'}, {0: 'Bob'}])
    """
    values: list[Values] = [{} for _ in texts]
    return [_shared(versions, tags, values) for versions in zip(*texts, strict=True)], values


def _shared(versions: Sequence[str], tags: Tags, values: list[Values]) -> str:
    lines = [version.split("\n") for version in versions]
    aligned = len({len(each) for each in lines}) == 1
    rows = zip(*lines, strict=True) if aligned else [versions]
    return "\n".join([_row(row, tags, values) for row in rows])


def _row(row: Sequence[str], tags: Tags, values: list[Values]) -> str:
    first = row[0]
    if row.count(first) == len(row):
        return first
    before = first[: _common(row)].rstrip(tags.apart or "\0")
    rests = [own[len(before) :] for own in row]
    length = _common([rest[::-1] for rest in rests])
    after = first[len(first) - length :].lstrip(tags.apart or "\0")
    number = len(values[0])
    for rest, value in zip(rests, values, strict=True):
        value[number] = rest[: len(rest) - len(after)]
    return f"{before}{tags.write(number)}{after}"


def _common(row: Sequence[str]) -> int:
    """Count the characters at the beginning that all have in common: the first and last in order decide."""
    low, high = min(row), max(row)
    differing = (place for place, (one, other) in enumerate(zip(low, high, strict=False)) if one != other)
    return next(differing, min(len(low), len(high)))


def mail_key(outgoing: Outgoing, tags: Tags) -> str:
    """Name what mails of one request must have in common: notification, sender, parts, headers, lines.

    Of headers it is their names, of lines their number. The notification is the tag of the whole request.

    It is empty, so that the mail goes alone, where its texts hold what a tag begins with, and where it brings
    attachments, which would go to all recipients.
    """
    content = outgoing.content
    if not isinstance(content, EmailContent) or outgoing.attachments:
        return ""
    texts = (content.subject, content.text, content.html, *content.headers.values())
    if any(tags.opening[0] in text and tags.opening in text for text in texts):  # one character is found fast
        return ""
    lines = [str(text.count("\n")) for text in (content.text, content.html)]
    parts = [str(bool(text)) for text in (content.text, content.html, outgoing.mark_of)]
    sender = (content.sender, content.sender_name, content.reply_to)
    return "\0".join([outgoing.message.notification, *sender, *sorted(content.headers), *lines, *parts])


def check_unique(addresses: Sequence[str]) -> Sequence[str]:
    """Return addresses that are each there once, in whatever case.

    Raises:
        Rejected: two are the same. No request was made, so the batch is taken apart and sent.
    """
    if len({address.lower() for address in addresses}) == len(addresses):
        return addresses
    msg = "two mails of one request are for the same address"
    raise Rejected(msg, code="same_address")
