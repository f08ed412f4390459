"""Routing: the channels and contact points of a notification, each with the verdict of its rules."""

from collections.abc import Sequence
from typing import TypeAlias

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision.evaluation import BLOCKED, Evaluation
from tocsin.decision.evaluator import evaluate
from tocsin.decision.rules import Rules
from tocsin.decision.user_state import ContactPoint
from tocsin.decision.verdict import Verdict

Route: TypeAlias = tuple[CompiledChannel, ContactPoint | None, Verdict, str]
"""A channel or one contact point of it, what its rules say, and the name of the rule that objected.

Without a point it is the channel as a whole.
"""


def routes(evaluation: Evaluation, channels: Sequence[CompiledChannel], rules: Rules) -> list[Route]:
    """Ask the rules about each channel, and about each contact point of those that pass.

    A channel without a contact point is asked once, so that there is an outcome for it.
    """
    found: list[Route] = []
    everywhere, of_channel = evaluation.recipient.contact_points, rules.channel
    of_target = rules.target if evaluation.facts & BLOCKED else rules.unblocked
    for channel in channels:
        evaluation.channel, evaluation.contact_point = channel, None
        if of_channel and (verdict := evaluate(of_channel, evaluation)) is not None:
            found.append((channel, None, verdict, evaluation.rule))
            continue
        name, before = channel.name, len(found)
        for point in everywhere:
            if point.channel == name:
                evaluation.contact_point = point
                verdict = evaluate(of_target, evaluation) if of_target else None
                found.append((channel, point, verdict, evaluation.rule if verdict else ""))
        if len(found) == before:
            found.append((channel, None, evaluate(rules.target, evaluation), evaluation.rule))
    return found
