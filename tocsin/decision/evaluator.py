"""Runs rules in their order."""

from collections.abc import Sequence

from tocsin.decision.evaluation import Evaluation, Rule
from tocsin.decision.verdict import PASS, Verdict


def evaluate(rules: Sequence[Rule], evaluation: Evaluation) -> Verdict:
    """Return the first verdict that is not a pass, and note whose it is; a pass if there is none."""
    for rule in rules:
        verdict = rule(evaluation)
        if verdict is not None:
            evaluation.rule = rule.__name__
            return verdict
    return PASS
