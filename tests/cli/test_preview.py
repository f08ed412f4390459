"""`tocsin preview`: tables, single previews, files and refusals, without a server."""

import json
from pathlib import Path

import pytest

from tests.render.preview_catalog import write_catalog
from tocsin.cli.main import main

# Loading a client of ClickHouse asks the machine whether it speaks IPv6.
pytestmark = pytest.mark.loopback


class Command:
    """The command over a catalog folder."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *words: str) -> tuple[int, str]:
        words = ("tocsin", "preview", *words, "--catalog", str(self.folder))
        self._monkeypatch.setattr("sys.argv", list(words))
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), "".join(self._capfd.readouterr())


@pytest.fixture
def preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(write_catalog(tmp_path / "catalog"), monkeypatch, capfd)


def test_all_channels_and_languages_are_a_table(preview: Command) -> None:
    code, said = preview("hello")
    assert code == 0
    assert "segments 1 GSM-7; text 17/160 septets" in said
    assert said.count("│ push ") == 2
    assert "no template uses: seat.letter, spare" in said


def test_one_is_shown_letter_by_letter(preview: Command) -> None:
    code, said = preview("hello", "--channel", "sms", "--locale", "de-AT", "--data", '{"name": "[red]Zoë"}')
    assert code == 0
    assert "text: Hallo [red]Zoë" in said


def test_a_missing_field_fails_with_file_and_line(preview: Command) -> None:
    code, said = preview("hello", "--channel", "push", "--locale", "en", "--data", '{"nmae": "Ada"}')
    assert code == 1
    assert "the data has no `name`, did you mean `nmae`?; there is nmae: templates/hello/en/body.j2:1" in said


def test_json_has_every_preview(preview: Command) -> None:
    code, said = preview("hello", "--json", "--sample", "1")
    found = json.loads(said)
    assert code == 1, "the second sample has no seat, which the text message uses"
    assert len(found["previews"]) == 8
    assert [one["faulty"] for one in found["previews"] if one["channel"] == "sms"] == [False, True]


def test_files_are_written_for_whoever_opens_them_elsewhere(preview: Command, tmp_path: Path) -> None:
    code, _ = preview("hello", "--channel", "email", "--locale", "en", "--out", str(tmp_path / "out"))
    assert code == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "hello.email.en.html",
        "hello.email.en.json",
        "hello.email.en.txt",
    ]


def test_a_profile_gives_language_zone_and_id(preview: Command, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{"user": "ada", "locale": "de", "timezone": "Europe/Vienna", "email": "a@b.example"}')
    code, said = preview("hello", "--channel", "sms", "--profile", str(profile))
    assert (code, "text: Hallo Ada" in said) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hullo",), "NAME: there is no notification hullo; there are: hello"),
        (
            ("hello", "--channel", "fax"),
            "--channel: hello has no channel fax; there are: email, sms, push, inapp",
        ),
        (("hello", "--tenant", "nobody"), "--tenant: there is no tenant nobody; there are: acme, default"),
        (("hello", "--locale", "!"), "--locale: '!' is no language; write it like de or de-AT"),
        (("hello", "--data", "{"), "--data: not JSON"),
        (("hello", "--data", "nowhere.json"), "--data nowhere.json: No such file or directory"),
        (("hello", "--sample", "7"), "--sample 7: hello/sample.json has 2, counted from 0"),
        (("hello", "--variant", "b"), "--variant: hello has no arm b that is sent; it has: none"),
        (("hello", "--digest"), "--digest: hello is never sent as a digest"),
        (("hello", "--timezone", "Mars/Base"), "--timezone: there is no time zone Mars/Base"),
    ],
)
def test_what_is_wrong_is_named_with_its_option(preview: Command, words: tuple[str, ...], said: str) -> None:
    code, text = preview(*words)
    assert (code, said in text) == (2, True), text


def test_without_a_name_it_lists_what_there_is(preview: Command) -> None:
    code, said = preview()
    assert code == 0
    assert "email sms push inapp" in said
