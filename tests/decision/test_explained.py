"""In random lives every outcome can be told: a sentence with its numbers, the rule, the catalog's version."""

from hypothesis import given, settings

from tests.decision.gate_world import CATALOG, World
from tests.decision.test_gate_properties import Deed, live, lives, tenants
from tocsin.decision.replacing import COLLAPSE_RULE
from tocsin.decision.rules import ORDER
from tocsin.model.explanations import NUMBERED, explain
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import SENTENCES, Reason

RULES = {entry.rule.__name__ for entry in ORDER} | {COLLAPSE_RULE}
PLAIN = {Reason.NO_MATCH, Reason.UNKNOWN_USER, Reason.LIMIT, Reason.ERASED}
"""Reasons that may come without numbers: there are none, or the bound of what is held was reached."""


@settings(deadline=None, max_examples=60)
@given(tenants, lives(others=("profile", "erase", "retry", "gone")))
def test_every_outcome_says_why(tenant: str, life: list[Deed]) -> None:
    world = World(tenant)
    live(world, life)
    for outcome in world.outcomes:
        assert outcome.catalog_version == CATALOG.version
        assert outcome.rule in RULES | {""}
        told(outcome)


def told(outcome: Outcome) -> None:
    """Tell an outcome as people read it."""
    if not outcome.reason:
        return
    reason, sentence = Reason(outcome.reason), explain(outcome.reason, outcome.detail)
    assert sentence.endswith(".")
    assert "{" not in sentence
    if outcome.status == "held":
        assert "due_ms" in outcome.detail
        assert sentence != SENTENCES[reason], "until when is missing"
    if reason in NUMBERED and reason not in PLAIN:
        assert sentence != SENTENCES[reason], f"the numbers are missing: {outcome}"
