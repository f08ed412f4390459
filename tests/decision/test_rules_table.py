"""The table of docs/rules.md is what the rules do."""

from tests.decision import rules_table
from tests.decision.causes import CAUSES
from tocsin.decision.rules import ORDER


def test_the_page_holds_the_table() -> None:
    text = rules_table.PAGE.read_text()
    assert rules_table.page(text) == text, "run `python -m tests.decision.rules_table`"


def test_every_rule_has_a_row_for_each_of_its_causes() -> None:
    rows = rules_table.table().splitlines()[2:]
    assert len(rows) == len(CAUSES)
    for entry in ORDER:
        causes = sum(cause.rule is entry.rule for cause in CAUSES)
        assert sum(f"| `{entry.rule.__name__}` |" in row for row in rows) == causes > 0
