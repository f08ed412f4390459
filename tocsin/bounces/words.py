"""Finds in a report's text what the server says of a recipient. Pure.

Exim writes the address on an indented line and its reason below, qmail `<address>:` and the reason below,
OpenSMTPD `address: reason` on one line. All end at a blank line. The DragonFly Mail Agent names the address
in the middle of a sentence, and gives the reason in the next paragraph.
"""

import re
from collections.abc import Iterator

from tocsin.bounces.failure import Failure
from tocsin.bounces.mail import Mail

MAX_REASON_CHARS = 2_000

_COPY = re.compile(
    r"^[ \t]*(?:-{2,}.{0,20}(?:below this line is|this is) a copy|below is a copy of the original|"
    r"-{2,} ?(?:original message|undelivered message|unsent message)|the following is a copy|"
    r"(?:original message|message headers) follows?\b|original message:)",
    re.IGNORECASE | re.MULTILINE,
)
# Exim names the members of an alias in its text alone, and the alias in the part for machines.
_GENERATED = re.compile(r"\((?:ultimately )?generated from ([^()\s]+)\)")
_HEADING = re.compile(r"^[ \t]*<?(?P<address>[^\s<>@]{1,64}@[^\s<>@:]{1,255})>?:?[ \t]*(?P<rest>.*)$")
_IN_SENTENCE = re.compile(r"(?:deliver\w*|send) your (?:mail|message) to <([^\s<>@]{1,64}@[^\s<>]{1,255})>")
_DELAYED = re.compile(
    r"has not (yet been delivered|been delivered to .{0,80} after)|"
    r"delivery (attempts )?will (continue|be (re)?tried)|"
    r"will (keep trying|be retried|continue to (try|be attempted))|not yet been able to|still being retried|"
    r"warning message only|do(es)? not need to resend|no action is required on your part|is delayed",
    re.IGNORECASE | re.DOTALL,
)


def before_copy(text: str) -> str:
    """Cut off the copy of the returned mail at the end of a report."""
    match = _COPY.search(text)
    return text[: match.start()] if match else text


def reasons(text: str) -> dict[str, str]:
    r"""Return what a report's text says of each address that stands at the start of a line.

    >>> reasons("The following address failed:\n\n  ada@mail.example\n    Unrouteable address\n")
    {'ada@mail.example': 'Unrouteable address'}
    """
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n[ \t]*\n", before_copy(text)):
        for address, said in _headed(paragraph.split("\n")):
            found[address] = f"{found.get(address, '')} {said}".strip()[:MAX_REASON_CHARS]
    return found


def in_lower_case(said: dict[str, str]) -> dict[str, str]:
    """Return the reasons by address in lower case: servers change its case."""
    return {address.lower(): reason for address, reason in said.items()}


def _headed(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Give the addresses of a paragraph, each with the rest of its line and the lines below it."""
    address = ""
    said: list[str] = []
    for line in lines:
        match = _HEADING.match(line)
        if match:
            if address:
                yield address, " ".join(said)
            address, said = match["address"].strip("<>:,"), [match["rest"].strip()]
        elif address:
            said.append(line.strip())
    if address:
        yield address, " ".join(said).strip()


def says_delayed(text: str) -> bool:
    """Tell whether a report's text says that the server keeps trying."""
    return _DELAYED.search(before_copy(text)) is not None


def failures_in(mail: Mail) -> tuple[Failure, ...]:
    """Read the recipients of a report that is text only: of Exim before 4.86, qmail, and appliances."""
    text = mail.human_text()
    action = "delayed" if says_delayed(text) else "failed"
    named = [one.strip(" <>") for one in mail.header("X-Failed-Recipients").split(",") if "@" in one]
    said = reasons(text)
    addresses = named or list(said)
    if not addresses:
        own = before_copy(text)
        match = _IN_SENTENCE.search(own)
        said_of_all = " ".join(own.split())[:MAX_REASON_CHARS]
        return (Failure(match[1] if match else "", action=action, said=said_of_all),)
    by_lower = in_lower_case(said)
    return tuple(explained(Failure(one, "", action), by_lower, text) for one in addresses)


def explained(failure: Failure, reasons_by_lower: dict[str, str], text: str) -> Failure:
    """Put in what the text says of a recipient of which the machine's part gives no reason.

    Args:
        failure: the recipient.
        reasons_by_lower: what `reasons` gave, by the address in lower case.
        text: the report's text; it counts as a whole where it names the address nowhere.
    """
    member = failure.recipient.lower()
    for address, reason in reasons_by_lower.items():
        if failure.recipient.lower() in map(str.lower, _GENERATED.findall(reason)):
            member = address
    reason = reasons_by_lower.get(member, "")
    origins = [*_GENERATED.findall(reason), failure.original]
    said = failure.said or reason or " ".join(before_copy(text).split())[:MAX_REASON_CHARS]
    return failure._replace(recipient=member or failure.recipient, said=said, original=origins[0])
