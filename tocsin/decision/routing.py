"""Routing: the channels and contact points of a notification, each with the verdict of its rules."""

from collections.abc import Sequence
from typing import TypeAlias

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision.evaluation import BLOCKED, Evaluation, Rule
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
    everywhere, of = evaluation.recipient.contact_points, rules.of
    of_target = rules.target if evaluation.facts & BLOCKED else rules.unblocked
    for channel in channels:
        evaluation.channel, evaluation.contact_point = channel, None
        name, before = channel.name, len(found)
        if (asked := of[name]) and (verdict := evaluate(asked, evaluation)) is not None:
            found.append((channel, None, verdict, evaluation.rule))
            continue
        for point in everywhere:
            if point.channel == name:
                route = _route(evaluation, point, of_target) if of_target else (channel, point, None, "")
                found.append(route)
        if len(found) == before:
            found.append((channel, None, evaluate(rules.target, evaluation), evaluation.rule))
    return found


def _route(evaluation: Evaluation, point: ContactPoint, rules: Sequence[Rule]) -> Route:
    """Ask the rules about one contact point of the channel that is decided."""
    assert evaluation.channel is not None, "a channel is decided"
    evaluation.contact_point = point
    verdict = evaluate(rules, evaluation)
    return evaluation.channel, point, verdict, evaluation.rule if verdict else ""
