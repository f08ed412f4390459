"""The registry of reports: how the webhooks of each vendor are checked and read. Pure.

A module `<vendor>_reports.py` of this folder registers a reader:

```python
@reports("sendgrid", max_bytes=4 << 20)
def read(account: SendGridAccount, posted: Posted) -> Reported: ...
```

A reader believes nothing before it has checked the vendor's signature over the bytes as they came.
`tocsin.providers.report_fields` takes apart what it then reads.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tocsin.errors import ReportError
from tocsin.model.outcome import ReceiptEvent
from tocsin.providers.registry import vendors
from tocsin.providers.report_fields import pairs_of

AHEAD_S = 300
"""How far a vendor's clock may be ahead of ours."""


class Posted(NamedTuple):
    """A webhook as it came.

    Attributes:
        method: of the request.
        url: public address of the request, without its query: what the vendor called, not what a proxy made
            of it.
        query: as it came, not decoded.
        headers: by name in lower case.
        body: as it came.
        now_s: wall time in seconds.
        certificate: of the key that signed it, PEM; empty where none is needed.
    """

    method: str
    url: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    now_s: float
    certificate: bytes = b""

    @property
    def full_url(self) -> str:
        """Return the address with its query."""
        return f"{self.url}?{self.query}" if self.query else self.url

    def query_fields(self) -> dict[str, str]:
        """Return the fields of the query, decoded."""
        return dict(pairs_of(self.query.encode("latin-1", "replace")))

    def form(self) -> list[tuple[str, str]]:
        """Return the fields of a form, decoded, in their order."""
        return pairs_of(self.body)

    def is_form(self) -> bool:
        """Tell whether the body says that it is a form."""
        return self.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")


class Reported(NamedTuple):
    """What a genuine webhook says.

    Attributes:
        receipts: what changes something, or what nobody knows: its kind is then the vendor's own word.
        ignored: how many of its events change nothing.
        once: a value that may come again with the same body only; empty where the signature covers the body.
        confirm: address to call so that reports begin; empty for none.
    """

    receipts: tuple[ReceiptEvent, ...] = ()
    ignored: int = 0
    once: str = ""
    confirm: str = ""


Read = Callable[[Any, Posted], Reported]


class ReportReader(NamedTuple):
    """How the webhooks of a vendor are read.

    Attributes:
        read: checks and reads one; raises `ReportError`.
        max_bytes: of a body.
        probes: whether the vendor asks for the address before it uses it, by GET or HEAD.
        by_get: whether a report may be the query of a GET.
        certificate_url: names the certificate that `read` needs; None where it needs none.
    """

    read: Read
    max_bytes: int
    probes: bool = False
    by_get: bool = False
    certificate_url: Callable[[Any, Posted], str] | None = None


_READERS: dict[str, ReportReader] = {}


def reports(
    *names: str,
    max_bytes: int = 1 << 20,
    probes: bool = False,
    by_get: bool = False,
    certificate_url: Callable[[Any, Posted], str] | None = None,
) -> Callable[[Read], Read]:
    """Register the decorated function for the vendors of these names; see `ReportReader`."""

    def register(read: Read) -> Read:
        _READERS.update(dict.fromkeys(names, ReportReader(read, max_bytes, probes, by_get, certificate_url)))
        return read

    return register


def readers() -> Mapping[str, ReportReader]:
    """Import every module of this folder, and return the readers by the name of their vendor."""
    known = vendors()
    return {name: _READERS[name] for name in known if name in _READERS}


def refuse(text: str, why: str = "forged") -> ReportError:
    """Make the error of a webhook that is not believed."""
    return ReportError(text, why)


def check_configured(value: object, field: str) -> None:
    """Refuse the reports of an account that lacks what they are checked with.

    Args:
        value: of the field; empty if the account does not set it.
        field: names it in the error.

    Raises:
        ReportError: it is empty.
    """
    if not value:
        msg = f"the account has no `{field}`, so nothing tells who posts"
        raise refuse(msg, "unconfigured")


def is_recent(signed_s: float, now_s: float, max_age_s: float) -> bool:
    """Tell whether something was signed not long ago, by a clock that may be up to 5 minutes ahead.

    Args:
        signed_s: when it was signed, in seconds since 1970 UTC; 0 where that cannot be read.
        now_s: wall time.
        max_age_s: how old it may be.

    >>> is_recent(1_000, now_s=1_060, max_age_s=60), is_recent(1_000, now_s=1_061, max_age_s=60)
    (True, False)
    """
    return -AHEAD_S <= now_s - signed_s <= max_age_s


def check_age(signed_s: float, now_s: float, max_age_s: float) -> None:
    """Refuse a report that was not signed recently; see `is_recent`.

    Raises:
        ReportError: it is too old, or ahead of our clock.
    """
    if not is_recent(signed_s, now_s, max_age_s):
        msg = "the timestamp is too old, or ahead of this machine's clock"
        raise refuse(msg, "stale")


def gathered(events: Iterable[ReceiptEvent | None]) -> Reported:
    """Gather the receipts of events; None is one that changes nothing."""
    found = list(events)
    receipts = tuple([each for each in found if each is not None])
    return Reported(receipts, ignored=len(found) - len(receipts))
