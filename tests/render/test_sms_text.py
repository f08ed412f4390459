"""Text messages in the tenant's way: what may be replaced, how long they may be, and how to stop them."""

import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from tests.render.render_world import message, renderer
from tocsin.catalog.sms import SmsSettings
from tocsin.catalog.spec import Senders
from tocsin.errors import RenderError
from tocsin.model.content import SmsContent
from tocsin.render.content import ContentContext, sms_content
from tocsin.render.sms import GSM_BASIC, GSM_EXTENDED, analyse
from tocsin.render.sms_text import MAX_SMS_CHARS, sms_text
from tocsin.render.transliteration import LETTERS, without_accents

STOP = "Reply STOP to end"
GSM = GSM_BASIC | GSM_EXTENDED
TEXTS = st.one_of(
    st.text(st.sampled_from("aé ’–€ł₹"), max_size=400),
    st.text(st.sampled_from("aЖ 😀é’\u0301"), max_size=300),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300),
)


def cut(text: str, most: int, stop: str = "", **more: str) -> str:
    settings = SmsSettings.model_validate({"too_long": "truncate", "max_segments": most, **more})
    return sms_text(text, settings, stop).text


@pytest.mark.parametrize(
    ("how", "text", "shown", "encoding"),
    [
        ("never", "It’s late", "It’s late", "UCS-2"),
        ("smart", "It’s late", "It's late", "GSM-7"),
        ("smart", "Ça coûte 5 €", "Ça coûte 5 €", "UCS-2"),
        ("full", "Ça coûte “5 €”", 'Ça coute "5 €"', "GSM-7"),
        ("full", "Zażółć gęślą jaźń", "Zazólc gesla jazn".replace("ó", "o"), "GSM-7"),
        ("full", "Đà Nẵng – ₫5", "Dà Nang - VND 5", "GSM-7"),
        ("full", "Straße in Łódź", "Straße in Lodz", "GSM-7"),
        ("full", "Прилёт – 5", "Прилёт – 5", "UCS-2"),
        ("full", "Zażółć 😀", "Zażółć 😀", "UCS-2"),
    ],
)
def test_what_may_be_replaced(how: str, text: str, shown: str, encoding: str) -> None:
    written = sms_text(text, SmsSettings.model_validate({"transliterate": how}))
    assert (written.text, written.size.encoding) == (shown, encoding)


def test_one_curly_quote_does_not_cost_a_segment() -> None:
    text = "We’ve moved your gate: " + "x" * 120
    assert analyse(text).segments == 3
    assert sms_text(text, SmsSettings()).size == ("GSM-7", 1)


LANGUAGES = {
    "pl": "ąćęłńóśźż",
    "cs, sk": "áäčďéěíĺľňóôŕřšťúůýž",
    "hu": "áéíóöőúüű",
    "ro": "ăâîșțşţ",
    "tr, az": "çğıİöşüə",
    "lv, lt, et": "āčēģīķļņšūžąęėįųõ",
    "fr, oc": "àâæçéèêëîïôœùûüÿ",
    "es, pt, ca, gl": "áéíñóúüãõç·ª",
    "is, fo": "áðéíóúýþæö",
    "mt, cy, ga": "ċġħżŵŷáéíóú",
    "hr, sl, sr": "čćđšž",
    "vi": "ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ",
    "sq, eo, haw": "ëçĉĝĥĵŝŭāēīōū",
    "de, sv, da, nb": "äöüßẞåæø",
}


@pytest.mark.parametrize("languages", LANGUAGES)
def test_every_letter_of_a_language_is_written(languages: str) -> None:
    letters = LANGUAGES[languages]
    for text in (letters, letters.upper(), unicodedata.normalize("NFD", letters)):
        written = sms_text(f"{text}ẃ’", SmsSettings(transliterate="full"))
        assert written.size.encoding == "GSM-7", written.text
        assert len(written.text) >= len(letters)


def test_what_letters_become_is_gsm_7() -> None:
    assert GSM.issuperset("".join(LETTERS.values()))


@pytest.mark.parametrize(
    ("text", "most", "stop", "shown"),
    [
        ("x" * 160, 1, "", "x" * 160),
        ("word " * 40, 1, "", "word " * 30 + "word..."),
        ("x" * 161, 1, "", "x" * 157 + "..."),
        ("x" * 400, 2, "", "x" * 303 + "..."),
        ("x" * 161, 1, STOP, "x" * 139 + f"...\n{STOP}"),
        ("Ж" * 71, 1, "", "Ж" * 69 + "…"),
        ("😀" * 36, 1, "", "😀" * 34 + "…"),
        ("x" * 150 + "€" * 9, 1, "", "x" * 150 + "€" * 3 + "..."),
        # Without its end the text is GSM-7, which has room for more.
        ("a" * 100 + " Ж" * 30, 1, "", "a" * 100 + "..."),
    ],
)
def test_a_long_text_is_cut_before_an_ellipsis(text: str, most: int, stop: str, shown: str) -> None:
    assert cut(text, most, stop) == shown


def test_without_transliteration_an_ellipsis_is_three_dots() -> None:
    assert cut("x" * 161, 1, transliterate="never") == "x" * 157 + "..."


HOW = st.sampled_from(["never", "smart", "full"])


@given(TEXTS, st.integers(1, 4), st.sampled_from(["", STOP, "Arrêt : STOP"]), HOW)
@example("e" + "\u0301" * 3 + "x" * 200, 1, STOP, "smart")
def test_what_was_cut_fits_and_keeps_the_words_about_stopping(
    text: str, most: int, stop: str, how: str
) -> None:
    settings = SmsSettings.model_validate(
        {"too_long": "truncate", "max_segments": most, "transliterate": how}
    )
    written = sms_text(text, settings, stop)
    assert written.size == analyse(written.text)
    assert written.size.segments <= most
    assert len(written.text) <= MAX_SMS_CHARS
    plain = sms_text(stop, settings).text
    assert written.text.endswith((stop, plain, without_accents(plain)))


@given(st.text(st.sampled_from("ab é😀\u0301\u200d"), max_size=400))
def test_no_grapheme_is_cut(text: str) -> None:
    kept = cut(text, 1, transliterate="never")
    if kept != text:
        heads = {"".join(regex.findall(r"\X", text)[:n]).rstrip() for n in range(len(text) + 1)}
        assert kept.removesuffix("...") in heads


@given(TEXTS, HOW)
def test_replacing_never_costs_more_segments_than_ucs_2(text: str, how: str) -> None:
    written = sms_text(text, SmsSettings.model_validate({"transliterate": how}))
    assert written.text == text or written.size.encoding == "GSM-7"


def content(text: str, stop: str = "", **settings: object) -> SmsContent:
    context = ContentContext(
        message("sms"), Senders(), sms=SmsSettings.model_validate(settings), stop_text=stop
    )
    return sms_content({"sms": text}, context)


def test_a_long_text_is_refused_or_split_as_the_tenant_says() -> None:
    assert content("x" * 400).segments == 3
    with pytest.raises(RenderError, match="hello, part sms: 3 segments of GSM-7, the tenant allows 2"):
        content("x" * 400, too_long="refuse", max_segments=2)
    assert content("x" * 306, too_long="refuse", max_segments=2).segments == 2
    with pytest.raises(RenderError, match="longer than 1600 characters"):
        content("x" * 1601)
    assert content("x" * 5000, too_long="truncate", max_segments=24).text.endswith("x...")
    with pytest.raises(RenderError, match="the tenant allows 1"):
        content("x", "s" * 200, too_long="truncate", max_segments=1)


TEMPLATES = {"hello/sms": "Offer!", "hello/de/sms": "Angebot!", "hello/it/sms": "Offerta!"}
CATEGORIES = {"service": {"required": True}, "news": {"marketing": True}, "other": {}}
WORDS = {"en": STOP, "de": "STOP beendet"}


@pytest.mark.parametrize(
    ("category", "locale", "named", "shown"),
    [
        ("news", "en-GB", None, f"Offer!\n{STOP}"),
        ("news", "de-AT", None, "Angebot!\nSTOP beendet"),
        ("news", "it", None, f"Offerta!\n{STOP}"),
        ("service", "en", None, "Offer!"),
        ("other", "en", None, "Offer!"),
        ("other", "en", ["other"], f"Offer!\n{STOP}"),
        ("news", "en", ["other"], "Offer!"),
    ],
)
def test_every_text_of_a_marketing_category_says_how_to_stop(
    category: str, locale: str, named: list[str] | None, shown: str
) -> None:
    settings = {"stop_text": WORDS, "stop_categories": named}
    made = renderer(TEMPLATES, categories=CATEGORIES, sms=settings)
    found = made.render(message("sms", category=category, locale=locale))
    assert isinstance(found, SmsContent)
    assert found.text == shown


def test_words_that_a_template_has_are_not_added_again() -> None:
    made = renderer({"hello/sms": f"Offer! {STOP}."}, categories=CATEGORIES, sms={"stop_text": WORDS})
    found = made.render(message("sms", locale="en"))
    assert isinstance(found, SmsContent)
    assert found.text == f"Offer! {STOP}."
