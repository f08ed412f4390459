"""Segments of SMS: the measures published for Twilio's own calculator, and what holds for every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.render.sms import GSM_BASIC, GSM_EXTENDED, MANY, ONE, SMART, SmsSize, analyse, smart

GSM = sorted(GSM_BASIC | GSM_EXTENDED)
CYRILLIC = "Ж"
EMOJI = "😀"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", ("GSM-7", 1)),
        ("a" * 160, ("GSM-7", 1)),
        ("a" * 161, ("GSM-7", 2)),
        ("a" * 306, ("GSM-7", 2)),
        ("a" * 307, ("GSM-7", 3)),
        ("€" * 80, ("GSM-7", 1)),
        ("€" * 81, ("GSM-7", 2)),
        # 306 septets, but the euro does not fit into the first segment
        ("a" * 152 + "€" + "a" * 152, ("GSM-7", 3)),
        ("a" * 151 + "€" + "a" * 153, ("GSM-7", 2)),
        (CYRILLIC * 70, ("UCS-2", 1)),
        (CYRILLIC * 71, ("UCS-2", 2)),
        (CYRILLIC * 134, ("UCS-2", 2)),
        (CYRILLIC * 135, ("UCS-2", 3)),
        (EMOJI * 35, ("UCS-2", 1)),
        (EMOJI * 36, ("UCS-2", 2)),
        # 134 units, but the emoji does not fit into the first segment
        (CYRILLIC * 66 + EMOJI + CYRILLIC * 66, ("UCS-2", 3)),
        (CYRILLIC * 65 + EMOJI + CYRILLIC * 67, ("UCS-2", 2)),
        ("a" * 69 + "’", ("UCS-2", 1)),
        ("a" * 70 + "’", ("UCS-2", 2)),
    ],
)
def test_known_measures(text: str, size: tuple[str, int]) -> None:
    assert analyse(text) == size


@pytest.mark.parametrize("char", "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà^{}\\[~]|€\f")
def test_in_gsm_7(char: str) -> None:
    assert analyse(char).encoding == "GSM-7"


@pytest.mark.parametrize("char", "çêâîôû`’‘“”–—…\t\u00a0ÁÍÓÚáíóú°µ" + EMOJI)
def test_not_in_gsm_7(char: str) -> None:
    assert analyse(char).encoding == "UCS-2"


def test_the_alphabet_is_whole() -> None:
    # 128 places less the escape; the ten of the extension table stand beside them.
    assert (len(GSM_BASIC), len(GSM_EXTENDED)) == (127, 10)
    assert GSM_BASIC.isdisjoint(GSM_EXTENDED)


def by_cutting(text: str) -> SmsSize:
    """Measure the slow way: cut segments off the front, one character after the other."""
    encoding = analyse(text).encoding
    widths = [
        2 if (char in GSM_EXTENDED if encoding == "GSM-7" else ord(char) > 0xFFFF) else 1 for char in text
    ]
    if sum(widths) <= ONE[encoding]:
        return SmsSize(encoding, 1)
    segments = 0
    while widths:
        room = MANY[encoding]
        while widths and widths[0] <= room:
            room -= widths.pop(0)
        segments += 1
    return SmsSize(encoding, segments)


TEXTS = st.one_of(
    st.text(st.sampled_from(GSM), max_size=700),
    st.text(max_size=400),
    st.text(st.sampled_from([CYRILLIC, EMOJI, "a"]), max_size=300),
)


@given(TEXTS)
def test_equals_cutting_segment_by_segment(text: str) -> None:
    assert analyse(text) == by_cutting(text)


@given(TEXTS)
def test_segments_are_enough_and_waste_less_than_a_unit_each(text: str) -> None:
    encoding, segments = analyse(text)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if encoding == "GSM-7":
        units = len(text) + sum(char in GSM_EXTENDED for char in text)
    if segments == 1:
        assert units <= ONE[encoding]
    else:
        assert units <= segments * MANY[encoding]
        assert units > (segments - 1) * (MANY[encoding] - 1)


@given(TEXTS, TEXTS)
def test_more_text_is_never_cheaper(text: str, more: str) -> None:
    if analyse(text).encoding == analyse(text + more).encoding:
        assert analyse(text).segments <= analyse(text + more).segments


@given(TEXTS)
def test_smart_never_costs_more_and_settles(text: str) -> None:
    plain = smart(text)
    assert smart(plain) == plain
    assert plain == text or analyse(plain).encoding == "GSM-7"
    assert analyse(plain).segments <= analyse(text).segments or analyse(text).encoding == "GSM-7"


@given(st.text(st.sampled_from(GSM)))
def test_smart_leaves_gsm_text_alone(text: str) -> None:
    assert smart(text) == text


def test_smart_replacements_are_all_gsm() -> None:
    for source, target in SMART.items():
        assert chr(source) not in GSM
        assert set(target) <= set(GSM)


def test_smart_saves_a_segment() -> None:
    text = "It’s delayed – sorry… " + "a" * 100
    assert (analyse(text).segments, analyse(smart(text)).segments) == (2, 1)
