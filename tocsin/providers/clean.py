"""Provider messages without what they must not carry on: addresses, numbers, tokens, texts (law 7)."""

import re
from collections.abc import Iterable, Iterator, Set
from itertools import pairwise

from tocsin.model.content import Outgoing

MAX_LENGTH = 200
MARK = "[…]"

LOOKED_AT = 1_000
"""Characters of a text that are looked at: the patterns take time by the square, and calls share one loop."""

_QUOTE = "\"'`“”‘’«»"
_PATTERNS = (
    re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE),  # links, with whatever they carry
    re.compile(r"[^\s<>()\[\],;:\"']+@[^\s<>()\[\],;:\"']+"),  # e-mail addresses
    re.compile(rf"(?<!\w)[{_QUOTE}].{{20,}}?[{_QUOTE}](?!\w)"),  # quoted passages of a message
    re.compile(r"[\w+/=:%~-]{40,}"),  # keys and tokens
    re.compile(r"(?=[\w+/=:%~-]*\d)[\w+/=:%~-]{16,}"),
    re.compile(r"\+?\d(?:[\s().\-/]*\d){6,}"),  # phone numbers
)
_OPEN_QUOTE = re.compile(rf"(?<!\w)[{_QUOTE}](?:[^{_QUOTE}]|[{_QUOTE}](?=\w))*\Z")
_IN_NUMBERS = "0123456789+-()./ "
_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")


def clean(text: str, outgoing: Outgoing | None = None) -> str:
    """Strip addresses, phone numbers, links, tokens and long quotes from a provider's message.

    With `outgoing`, every field of its target and content is struck out too, wherever it appears, and so are
    three words in a row of them. The result is one line of at most 200 characters, made from the first 1,000.

    >>> clean("The number +14155552671 is not valid")
    'The number […] is not valid'
    """
    secrets = _secrets(outgoing) if outgoing else []
    return _cleaned(text, secrets, secrets)


def _cleaned(text: str, secrets: list[str], said: Iterable[str]) -> str:
    """Strike out each secret as it is, and three words in a row of what was said."""
    text = _beginning(text, secrets)
    heard = text.casefold()
    for secret in [each for each in secrets if each.casefold() in heard]:
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MARK, text, flags=re.IGNORECASE)
    text = _without_echoes(text, f" {_words(' '.join(said))}")
    for pattern in _PATTERNS:
        text = pattern.sub(MARK, text)
    text = _SPACE.sub(" ", text).strip()
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def clean_of_all(text: str, batch: Iterable[Outgoing]) -> str:
    """Strip a provider's message of what any message of a request holds; see `clean`.

    The messages have most of their lines in common: each line, with the one before it, is looked at once.
    """
    pairs = {
        pair: None
        for outgoing in batch
        for value in _contents(outgoing)
        for pair in pairwise(["", *value.splitlines()])
    }
    return _cleaned(text, _longest_first([line for _, line in pairs]), map(" ".join, pairs))


def _beginning(text: str, secrets: list[str]) -> str:
    """Cut a long text, with whatever the cut went through: what is left of that no pattern would know."""
    if len(text) <= LOOKED_AT:
        return text
    text = text[:LOOKED_AT]
    begun = [at for at in range(len(text)) if any(secret.startswith(text[at:]) for secret in secrets)]
    text = text[: begun[0]] if begun else text
    whole_words = text[: len(text) - len(re.split(r"\s", text)[-1])]
    return _OPEN_QUOTE.sub("", whole_words).rstrip(_IN_NUMBERS) + " …"


def _without_echoes(text: str, said: str) -> str:
    """Strike out three words in a row of what was said: providers quote parts of a text."""
    words = text.split()
    plain = [_words(word) for word in words]
    pairs = set(pairwise(said.split()))
    echoed = {
        index + step
        for index in range(len(words) - 2)
        for step in range(3)
        if _is_echo(" ".join(["", *plain[index : index + 3]]), said, pairs)
    }
    return " ".join([MARK if index in echoed else word for index, word in enumerate(words)])


def _is_echo(heard: str, said: str, pairs: Set[tuple[str, str]]) -> bool:
    """Look at pairs of words first: a search through a long mail takes a millisecond. The last may be cut."""
    known = "  " not in heard and all(pair in pairs for pair in pairwise(heard.split()[:-1]))
    return known and heard in said


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _secrets(outgoing: Outgoing) -> list[str]:
    return _longest_first(dict.fromkeys(_contents(outgoing)))


def _longest_first(values: Iterable[str]) -> list[str]:
    found = dict.fromkeys([value.strip() for value in values])
    return sorted([value for value in found if len(value) > 2], key=len, reverse=True)


def _contents(outgoing: Outgoing) -> Iterator[str]:
    yield from _target(outgoing)
    yield from _texts(outgoing)


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
