"""Provider messages without what they must not carry on: addresses, numbers, tokens, texts (law 7)."""

import re
from collections.abc import Iterator

from models.content import Outgoing

MAX_LENGTH = 200
MARK = "[…]"

_QUOTE = "\"'`“”‘’«»"
_PATTERNS = (
    re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE),  # links, with whatever they carry
    re.compile(r"[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+"),  # e-mail addresses
    re.compile(rf"(?<!\w)[{_QUOTE}].{{20,}}?[{_QUOTE}](?!\w)"),  # quoted passages of a message
    re.compile(r"[\w+/=:%~-]{40,}"),  # keys and tokens
    re.compile(r"(?=[\w+/=:%~-]*\d)[\w+/=:%~-]{16,}"),
    re.compile(r"\+?\d(?:[\s().\-/]*\d){6,}"),  # phone numbers
)
_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")


def clean(text: str, outgoing: Outgoing | None = None) -> str:
    """Strip addresses, phone numbers, links, tokens and long quotes from a provider's message.

    With `outgoing`, every field of its target and content is struck out too, wherever it appears, and so are
    three words in a row of them. The result is one line of at most 200 characters.

    >>> clean("The number +14155552671 is not valid")
    'The number […] is not valid'
    """
    secrets = _secrets(outgoing) if outgoing else []
    for secret in secrets:
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MARK, text, flags=re.IGNORECASE)
    text = _without_echoes(text, f" {_words(' '.join(secrets))}")
    for pattern in _PATTERNS:
        text = pattern.sub(MARK, text)
    text = _SPACE.sub(" ", text).strip()
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def _without_echoes(text: str, said: str) -> str:
    """Strike out three words in a row of what was said: providers quote parts of a text."""
    words = text.split()
    plain = [_words(word) for word in words]
    echoed = {
        index + step
        for index in range(len(words) - 2)
        for step in range(3)
        if " ".join(["", *plain[index : index + 3]]) in said
    }
    return " ".join([MARK if index in echoed else word for index, word in enumerate(words)])


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _secrets(outgoing: Outgoing) -> list[str]:
    found = {value.strip() for value in (*_target(outgoing), *_texts(outgoing))}
    return sorted([value for value in found if len(value) > 2], key=len, reverse=True)


def _target(outgoing: Outgoing) -> Iterator[str]:
    target = outgoing.message.target
    yield target.address
    yield target.address.partition("@")[0]
    yield outgoing.message.user
    yield from (target.subscription or {}).values()


def _texts(outgoing: Outgoing) -> Iterator[str]:
    for name in outgoing.content.__struct_fields__:
        value = getattr(outgoing.content, name)
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, str) and name not in ("encoding", "sender"):
            yield value
