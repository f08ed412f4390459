"""Extra headers of e-mails: what the content asks for, made safe."""

from collections.abc import Mapping, Set

AUTOMATIC = {"Auto-Submitted": "auto-generated"}
"""Stops out-of-office answers to every notification."""


def extra_headers(asked: Mapping[str, str], reserved: Set[str]) -> dict[str, str]:
    """Take the headers that content may set: none that is reserved, none that could inject another.

    Line ends and other control characters become spaces; a name that is not a header name is dropped.

    >>> extra_headers({"X-A": "1\\r\\nBcc: x", "Bcc": "y"}, frozenset({"bcc"}))
    {'Auto-Submitted': 'auto-generated', 'X-A': '1 Bcc: x'}
    """
    taken = {name: one_line(value) for name, value in asked.items() if _is_name(name)}
    return AUTOMATIC | {name: value for name, value in taken.items() if name.lower() not in reserved}


def one_line(value: str) -> str:
    """Replace every run of control characters and spaces by one space."""
    return " ".join("".join([" " if _is_control(char) else char for char in value]).split())


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0" or char in "\u2028\u2029"


def _is_name(name: str) -> bool:
    return bool(name) and all("!" <= char <= "~" and char != ":" for char in name)
