"""Decides what a failed recipient means, by the table of SMTP replies: one classification for both. Pure."""

import re
from typing import NamedTuple

from tocsin.bounces.failure import Failure
from tocsin.providers.smtp_reading import read_reply, rule_of
from tocsin.providers.smtp_replies import Verdict
from tocsin.providers.smtp_stages import SmtpStage

_STATUS = r"#?[245]\.\d{1,3}\.\d{1,3}\b"
_CODES = (
    re.compile(r"\bERROR_CODE ?:(?P<code>[45]\d\d), ?ERROR_CODE ?:(?P<text>.*)", re.DOTALL),  # Zoho
    re.compile(rf"(?<![\d.])(?P<code>[45]\d\d)[ -]+(?P<text>{_STATUS}.*)", re.DOTALL),
    re.compile(r"(?:^|[:;\"'(>]\s*|\bsaid\b:?\s*)#?(?P<code>[45]\d\d)[ -](?P<text>.*)", re.DOTALL),
)
"""An SMTP reply inside a sentence: with a status anywhere, else after a colon or quote, or at the start."""
_LINE_AGAIN = r"\s+{code}[ -](?=\S)"


class Judgement(NamedTuple):
    """What a failed recipient means.

    Attributes:
        verdict: the subject of the last server's answer.
        code: its enhanced status code, or its code; empty where nothing has one.
    """

    verdict: Verdict
    code: str

    @property
    def is_permanent(self) -> bool:
        """Tell whether the address is proven dead."""
        return self.verdict is Verdict.GONE


def judge(failure: Failure) -> Judgement:
    """Judge a failed recipient.

    The last server's reply counts, with its own status. The report's field `Status` counts only where there
    is no reply, and if it says more than x.0.0.
    """
    said = " ".join(failure.said.split())
    match = next(filter(None, (pattern.search(said) for pattern in _CODES)), None)
    if match:
        code, text = match["code"], re.sub(_LINE_AGAIN.format(code=match["code"]), "\n", match["text"])
    else:
        status = "" if failure.status[1:] in ("", ".0.0") else failure.status
        code, text = ("450" if status.startswith("4") else "550"), f"{status} {said}".strip()
    reply = read_reply(SmtpStage.REPORT, int(code), text)
    shown = reply.status or (str(reply.code) if match else failure.status)
    return Judgement(rule_of(reply).verdict, shown)
