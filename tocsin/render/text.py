"""Makes rendered text fit to leave: one line, short enough, and a link only where one is safe."""

import re
from urllib.parse import quote

import msgspec
import regex

from tocsin.model.domains import ascii_address, ascii_url

ELLIPSIS = "…"
WORD_SLACK = 24  # characters given up at most to end at a word

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CONTROL_BUT_LF = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]+")
_CONTROL_BUT_TAB_LF = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NO_CONTROL = bytes([byte for byte in range(256) if byte >= 0x20 and byte not in {0x7F, 0xC2}])
"""No control character is written with these; those from U+0080 on begin with 0xC2."""
_BLANK_LINES = re.compile(r"\n{3,}")
_LAST_SPACE = re.compile(r"\s\S*\Z")
_GRAPHEME = regex.compile(r"\X")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://[^\s/?#]")
_UNSAFE_SCHEMES = frozenset({"javascript", "data", "vbscript", "file", "blob"})
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=-._~"
_URL = re.compile(rf"[A-Za-z0-9{re.escape(_URL_CHARACTERS)}]*")
_READY = re.compile(
    rf"https?://(?!xn--)[a-z0-9]+(?:\.(?!xn--)[a-z0-9]+)*(?:/[A-Za-z0-9{re.escape(_URL_CHARACTERS)}]*)?"
)
"""Links that stay as they are, which most do."""


def one_line(text: str) -> str:
    r"""Put a text on one line: what goes into a header or a title cannot start another header.

    >>> one_line(" Your flight\r\nBcc: all@example.com ")
    'Your flight Bcc: all@example.com'
    """
    return _CONTROL.sub(" ", text).strip()


def printable(text: str) -> str:
    r"""Replace control characters but tab and line feed: what comes from an event's data is no command.

    >>> printable("two\x00 words\x07\n")
    'two  words \n'
    """
    if _has_only(text, b"\t\n"):
        return text
    return _CONTROL_BUT_TAB_LF.sub(" ", text)


def _has_only(text: str, controls: bytes) -> bool:
    """Tell whether a text certainly has no other control characters, in a sixth of the time of a pattern."""
    return not text.encode("utf-8", "surrogatepass").translate(None, _NO_CONTROL + controls)


def tidy(text: str) -> str:
    """Trim a text of several lines: LF line ends, no control characters, at most one blank line in a row."""
    if text.isprintable():  # one line without control characters: in C, a tenth of the time of the pattern
        return text.strip()
    plain = text.replace("\r\n", "\n")
    if not _has_only(plain, b"\n"):
        plain = _CONTROL_BUT_LF.sub(" ", plain)
    if "\n" not in plain:
        return plain.strip()
    return _BLANK_LINES.sub("\n\n", "\n".join([line.rstrip() for line in plain.split("\n")])).strip()


def json_size(text: str) -> int:
    """Count the bytes of a text inside a JSON string: UTF-8, with quotes and controls escaped."""
    return len(msgspec.json.encode(text)) - 2


def shorten(text: str, max_bytes: int) -> str:
    """Cut a text to at most `max_bytes` of JSON, at a word if one is near, never inside a grapheme.

    A grapheme is what a reader sees as one character (UAX 29): a letter with its accents, a joined emoji.
    A text that was cut ends with an ellipsis; where not even that fits, nothing is left.
    """
    if json_size(text) <= max_bytes:
        return text
    room = max_bytes - json_size(ELLIPSIS)
    if room < 0:
        return ""
    head = _head(text, room)
    if not text[len(head)].isspace():
        head = _whole_words(head)
    return head.rstrip() + ELLIPSIS


def _head(text: str, room: int) -> str:
    end = 0
    for grapheme in _GRAPHEME.finditer(text):
        room -= json_size(grapheme[0])
        if room < 0:
            break
        end = grapheme.end()
    return text[:end]


def _whole_words(head: str) -> str:
    """Drop the begun word at the end, unless that gives up too much (a language without spaces, a link)."""
    space = _LAST_SPACE.search(head)
    return head[: space.start()] if space and len(head) - space.start() <= WORD_SLACK else head


def safe_url(url: str) -> str:
    """Check that an address may be put behind a tap or click: `https://…`, or an app's own scheme.

    Args:
        url: from a template or from the data of an event.

    Returns:
        The address with everything that does not belong into one percent-encoded.

    Raises:
        ValueError: it has no scheme with a host, or one that runs code or reads files.
    """
    if _READY.fullmatch(url):
        return url
    clean = ascii_url(one_line(url))
    found = _SCHEME.match(clean)
    if not found or found[1].lower() in _UNSAFE_SCHEMES:
        msg = "not a link that may be followed; use https:// or the scheme of an app"
        raise ValueError(msg)
    return _escaped(clean)


def _escaped(url: str) -> str:
    return url if _URL.fullmatch(url) else quote(url, safe=_URL_CHARACTERS)


def header_url(url: str) -> str:
    """Write a URL of the catalog as a header can hold it: in ASCII, on one line."""
    return _escaped(ascii_url(one_line(url)))


def mailto(address: str) -> str:
    """Write a mail address as a `mailto:` URL (RFC 6068), in ASCII.

    >>> mailto("grüße&co@bücher.example")
    'mailto:gr%C3%BC%C3%9Fe%26co@xn--bcher-kva.example'
    """
    return "mailto:" + quote(ascii_address(one_line(address)), safe="@!$'*+-._~")
