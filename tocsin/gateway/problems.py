"""Refuses requests with problem documents (RFC 9457): what is wrong, where, and the cure.

No text here shows a value of the request: it might be an address or a token.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")
MEDIA_TYPE = "application/problem+json"
DEPTH = 100
"""Levels of JSON that are always read, as `data` of an event may have. The decoder takes several hundred."""
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>(?:key in )?\$.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<name>[^`]+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>[^`]+)`$")
_INVALID = re.compile(r"^Invalid (?P<what>.+?)(?: '.*'| -?\d.*)?$", re.DOTALL)
_KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Says what is wrong with one field.

    Attributes:
        field: its place, such as `notifications[3].to`; empty for the whole body.
        kind: the kind of the value that came, such as `a text`; never the value.
        cure: what to do.
    """

    field: str
    kind: str = ""
    cure: str = ""


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem as it goes out (RFC 9457); `errors` and `request_id` are extensions."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    request_id: str = ""
    errors: list[FieldError] = []


class Problem(Exception):
    """Refuses a request.

    Args:
        status: the HTTP status.
        detail: what is wrong and the cure, in one sentence.
        title: a few words; by default the name of the status.
        errors: what is wrong with which field.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str = "",
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title or HTTPStatus(status).phrase
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def document(self, request_id: str = "") -> ProblemDocument:
        """Build the document."""
        return ProblemDocument(
            self.title, self.status, self.detail, request_id=request_id, errors=self.errors
        )


def of_field(field: str, kind: str, cure: str, status: int = 422) -> Problem:
    """Refuse a request for one field."""
    named = f"`{field}`" if field else "the body"
    return Problem(status, f"{named}: {cure}", errors=[FieldError(field, kind, cure)])


def not_ready(detail: str, retry_after_s: int = 1) -> Problem:
    """Refuse a request for now: it may be sent again after some seconds."""
    return Problem(503, detail, headers={"retry-after": str(retry_after_s)})


def too_deep(at: str = "", status: int = 400) -> Problem:
    """Refuse JSON that is nested so deep that reading it would take all of the stack."""
    return of_field(at, "nested too deep", f"nest lists and objects at most {DEPTH} deep", status)


def decoded(data: bytes | msgspec.Raw, type_: type[T], at: str = "") -> T:
    """Decode JSON.

    Args:
        data: the JSON.
        type_: a type that msgspec knows.
        at: place of the data in the body, put before the places of errors.

    Raises:
        Problem: it is no JSON or nested too deep (400), or does not fit the type (422).
    """
    try:
        made: T = _decoder(cast("Any", type_))(data)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error), at)
        named = f"`{wrong.field}`" if wrong.field else "the body"
        raise Problem(422, f"{named}: {wrong.cure}", errors=[wrong]) from None
    except RecursionError:
        raise too_deep(at) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        cure = "send a body that is JSON in UTF-8"
        raise Problem(400, cure, errors=[FieldError(at, "no JSON", cure)]) from None
    return made


@lru_cache(512)
def _decoder(type_: Any) -> Callable[[bytes | msgspec.Raw], Any]:
    return msgspec.json.Decoder(type_).decode


def field_error(text: str, at: str = "") -> FieldError:
    """Turn the text of a msgspec error into place, kind and cure.

    >>> field_error("Expected `int`, got `str` - at `$.items[0].count`")
    FieldError(field='items[0].count', kind='a text', cure='give a whole number')
    """
    parts = _PLACE.match(text)
    what, path = (parts["what"], parts["path"] or "$") if parts else (text, "$")
    field = _joined(at, path.removeprefix("key in ").removeprefix("$"))
    if found := _EXPECTED.match(what):
        return FieldError(field, _kind(found["got"]), f"give {_kinds(found['wanted'])}")
    if found := _MISSING.match(what):
        return FieldError(_joined(field, f".{found['name']}"), "missing", "give this field")
    if found := _UNKNOWN.match(what):
        return FieldError(
            _joined(field, f".{found['name'][:64]}"), "unknown", "leave this field away, or correct its name"
        )
    if found := _INVALID.match(what):
        return FieldError(field, "not one of those known", f"correct this {found['what']}")
    return FieldError(field, "out of bounds", _lowered(what.replace("Expected ", "give ")))


def _joined(at: str, path: str) -> str:
    """Join places: `.name` and `[0]` follow what is there."""
    return f"{at}{path}" if at else path.removeprefix(".")


def _kind(word: str) -> str:
    return _KINDS.get(word, f"a {word}")


def _kinds(words: str) -> str:
    return " or ".join(map(_kind, words.split(" | ")))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
