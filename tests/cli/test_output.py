"""What the command line says is wrong is said as it is."""

import pytest
import typer

from tocsin.cli.output import fail


@pytest.mark.parametrize("text", ["'[/red]' is no topic", "pip install 'tocsin[local]'", "C:\\[x]"])
def test_a_complaint_is_printed_letter_by_letter(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        fail(text, code=2)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == f"✗ {text}\n"
