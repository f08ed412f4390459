"""The table of preferences in docs/rules.md is what the rules say."""

from tests.decision.preferences_table import page
from tests.decision.rules_table import PAGE


def test_the_page_holds_the_table() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run python -m tests.decision.preferences_table"
