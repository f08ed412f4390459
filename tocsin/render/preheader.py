"""Puts the preheader into a mail: the line that a list of mails shows after the subject."""

import re
from html import escape
from typing import Final

from tocsin.render.text import one_line, shorten

MAX_BYTES: Final = 250
"""Lists show 40 to 130 characters."""

_BODY: Final = re.compile(r"<body\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
_START: Final = re.compile(r"(?:\s|<!doctype[^>]*>|<html\b[^>]*>)*", re.IGNORECASE)
_HIDDEN: Final = "display:none;max-height:0;overflow:hidden;mso-hide:all;font-size:1px;opacity:0"
# Blanks that a list cannot break or trim keep the text of the body out of it.
_FILLER: Final = "&#847;&zwnj;&nbsp;" * 60


def with_preheader(html: str, text: str) -> str:
    """Put a preheader, hidden, at the start of the body; a blank one changes nothing.

    Args:
        html: the mail.
        text: plain text, which is escaped here.
    """
    line = shorten(one_line(text), MAX_BYTES)
    if not line:
        return html
    found = _BODY.search(html) or _START.match(html)
    at = found.end() if found else 0
    return f'{html[:at]}<div style="{_HIDDEN}">{escape(line)}{_FILLER}</div>{html[at:]}'
