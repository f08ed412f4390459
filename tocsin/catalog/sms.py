"""How a tenant's text messages are written: characters, length, and the words that say how to stop them."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, Field

from tocsin.catalog.files import Document, Problem
from tocsin.catalog.scalars import STRICT, WholeNumber
from tocsin.model.locales import family, resolve

_LAST = "en"


class SmsSettings(BaseModel):
    """How text messages are written.

    One character outside GSM-7 makes a text UCS-2: 70 characters a segment instead of 160.

    Attributes:
        currency_codes: signs such as ₹ and zł become ISO 4217 codes in texts that are GSM-7 otherwise.
        transliterate: what may be replaced to make a text GSM-7. `smart`: quotes, dashes and blanks; `full`:
            letters with accents, too; `never`: nothing.
        too_long: what becomes of a text of more than `max_segments`. `refuse`: it is not sent; `truncate`: it
            is cut; `split`: it is sent, in as many segments as it needs.
        max_segments: needed by `refuse` and `truncate`.
        stop_text: how to stop messages, by language; it is put under each text of `stop_categories`.
        stop_categories: categories; left out for those that are `marketing`.
    """

    model_config = STRICT

    currency_codes: bool = True
    transliterate: Literal["never", "smart", "full"] = "smart"
    too_long: Literal["split", "refuse", "truncate"] = "split"
    max_segments: WholeNumber | None = Field(default=None, ge=1, le=24)
    stop_text: dict[str, str] = {}
    stop_categories: list[str] | None = None

    def stop_text_in(self, *locales: str) -> str:
        """Return the words in the first of these languages that has some, else in English."""
        tags = [tag for locale in (*locales, _LAST) for tag in family(locale)]
        return next((self.stop_text[tag] for tag in tags if tag in self.stop_text), "")


def sms_problems(
    document: Document, settings: SmsSettings, categories: Mapping[str, bool], locale: str
) -> Iterator[Problem]:
    """Find settings that contradict each other or say nothing.

    Args:
        document: the tenant's file.
        settings: of the tenant.
        categories: category to whether it is marketing.
        locale: of the tenant.
    """
    limited = settings.too_long != "split"
    if limited and settings.max_segments is None:
        text = f"`too_long: {settings.too_long}` needs a limit, add `max_segments: 2` or another number"
        yield document.problem(("sms", "too_long"), text)
    if settings.max_segments is not None and not limited:
        text = "`max_segments` limits nothing, add `too_long: refuse` or `too_long: truncate`"
        yield document.problem(("sms", "max_segments"), text)
    if settings.stop_text:
        yield from _text_problems(document, settings, locale)
    yield from _category_problems(document, settings, categories)


def _text_problems(document: Document, settings: SmsSettings, locale: str) -> Iterator[Problem]:
    for tag, words in settings.stop_text.items():
        where = ("sms", "stop_text", tag)
        if tag not in family(tag):
            right = resolve(tag)
            cure = f"rename it `{right}`" if right else "name it like de or de-AT"
            yield document.problem(where, f"`{tag}` is not how a language is written, {cure}")
        if not words.strip():
            yield document.problem(where, "the text is empty, write how to stop, like `Reply STOP to end`")
    if not settings.stop_text_in(locale):
        text = f"no text in {locale} or {_LAST}: others would get none, add one"
        yield document.problem(("sms", "stop_text"), text)


def _category_problems(
    document: Document, settings: SmsSettings, categories: Mapping[str, bool]
) -> Iterator[Problem]:
    named = settings.stop_categories
    for at, name in enumerate(named or ()):
        if name not in categories:
            yield document.problem(("sms", "stop_categories", at), _unknown(name, categories))
    if named is not None and not settings.stop_text:
        text = "`stop_categories` has no text to add, write `stop_text: {en: Reply STOP to end}`"
        yield document.problem(("sms", "stop_categories"), text)
    if settings.stop_text and named is None and not any(categories.values()):
        text = "`stop_text` is in no message: no category is marketing, so name some in `stop_categories`"
        yield document.problem(("sms", "stop_text"), text)


def _unknown(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    cure = f"did you mean `{close[0]}`?" if close else f"use one of {', '.join(known)}"
    return f"no category `{name}`, {cure}"
