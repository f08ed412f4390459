"""The second try of `.ci/run`: whom it is given, and that it says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.second_try import MOST, main

SETTINGS = """\
[pytest]
markers =
    integration: meets a server
    e2e: a browser
    loopback: sockets
    pure: none of these
"""
ONCE = """\
import pathlib, pytest

@pytest.mark.integration
@pytest.mark.parametrize("number", range({count}))
def test_fails_once(number):
    seen = pathlib.Path(f"seen-{{number}}")
    first = not seen.exists()
    seen.touch()
    assert not first
"""


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plugins, which take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def after_a_run(folder: Path, **files: str) -> Path:
    """Write a project of tests, and run it once: some fail."""
    (folder / "pytest.ini").write_text(SETTINGS)
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=folder, check=False, capture_output=True
    )
    assert ended.returncode in (1, 2), ended.stdout.decode()
    return folder


def test_what_passes_at_the_second_try_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = after_a_run(tmp_path, once=ONCE.format(count=MOST))
    assert main(folder, ["-q"]) == 0
    said = capsys.readouterr().out
    assert "a fault is to be corrected" in said
    assert said.count("test_once.py::test_fails_once") == MOST


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    text = ONCE.format(count=1).replace("assert not first", "assert False")
    assert main(after_a_run(tmp_path, once=text), ["-q"]) == 1


@pytest.mark.parametrize(
    ("files", "why"),
    [
        pytest.param({"once": ONCE.format(count=MOST + 1)}, "4 tests failed, more than 3", id="too many"),
        pytest.param(
            {"once": ONCE.format(count=1).replace("integration", "skipif(False)")}, "pure", id="pure"
        ),
        pytest.param({"once": "import nothing_of_this_name"}, "cannot be read", id="unreadable"),
    ],
)
def test_no_second_try(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], why: str
) -> None:
    folder = after_a_run(tmp_path, **files)
    tries = len([*folder.glob("seen-*")])
    assert main(folder, ["-q"]) == 1
    assert why in capsys.readouterr().out
    assert len([*folder.glob("seen-*")]) == tries


def test_nothing_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path, []) == 1
    assert "pytest names no test that failed" in capsys.readouterr().out
