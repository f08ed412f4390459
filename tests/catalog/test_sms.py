"""Settings of text messages: each mistake has a line, and says what to write."""

from pathlib import Path

import pytest

from tocsin.catalog.loader import check, load

START = "categories: {news: {marketing: true}, alerts: {}}\nlocale: de\nsms:\n  currency_codes: true\n"
NOTICE = "hello: {on: {type: t}, category: news, channels: [sms]}\n"


def catalog(folder: Path, words: str, start: str = START) -> Path:
    for name, text in {
        "tenants/acme.yaml": f"{start}{words}",
        "notifications/all.yaml": NOTICE,
        "templates/hello/en/sms.j2": "Hello",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


WRONG = [
    ("  too_long: refuse\n", 5, "`too_long: refuse` needs a limit, add `max_segments: 2` or another number"),
    (
        "  max_segments: 2\n",
        5,
        "`max_segments` limits nothing, add `too_long: refuse` or",
    ),
    ("  max_segments: 25\n  too_long: refuse\n", 5, "`max_segments` is wrong: write a number of at most 24"),
    ("  too_long: cut\n", 5, "`too_long: cut` is not allowed, write one of 'split', 'refuse' or 'truncate'"),
    ("  transliterate: ascii\n", 5, "write one of 'never', 'smart' or 'full'"),
    ("  trunkate: 1\n", 5, "unknown field `trunkate`"),
    (
        "  stop_text:\n    de_DE: STOP\n    en: STOP\n",
        6,
        "is not how a language is written, rename it `de-DE`",
    ),
    ("  stop_text:\n    en: STOP\n    deutsch: STOP\n", 7, "`deutsch` is not how a language is written"),
    ("  stop_text:\n    de: ' '\n", 6, "the text is empty"),
    ("  stop_text:\n    fr: STOP\n", 5, "no text in de or en: others would get none, add one"),
    (
        "  stop_text: {en: STOP}\n  stop_categories: [alerts, mews]\n",
        6,
        "no category `mews`, did you mean `news`?",
    ),
    ("  stop_categories: [news]\n", 5, "`stop_categories` has no text to add"),
]


@pytest.mark.parametrize(("words", "line", "told"), WRONG)
def test_each_mistake_has_a_line_and_a_cure(tmp_path: Path, words: str, line: int, told: str) -> None:
    (problem,) = [str(one) for one in check(catalog(tmp_path, words))]
    assert problem.startswith(f"tenants/acme.yaml:{line}: ")
    assert told in problem


def test_words_about_stopping_need_a_category(tmp_path: Path) -> None:
    start = START.replace("{marketing: true}", "{}")
    (problem,) = check(catalog(tmp_path, "  stop_text: {en: STOP}\n", start))
    assert "is in no message: no category is marketing" in str(problem)


def test_what_is_right_is_kept(tmp_path: Path) -> None:
    words = "  transliterate: full\n  too_long: truncate\n  max_segments: 2\n"
    words += "  stop_text: {en: STOP, pt-BR: SAIR}\n"
    assert check(catalog(tmp_path, words)) == []
    settings = load(tmp_path).tenants["acme"].spec.sms
    assert (settings.transliterate, settings.too_long, settings.max_segments) == ("full", "truncate", 2)
    assert [settings.stop_text_in(locale) for locale in ("pt-BR", "pt-PT", "en-GB")] == [
        "SAIR",
        "STOP",
        "STOP",
    ]
