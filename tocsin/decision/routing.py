"""Routing: the channels and contact points of a notification, each with the verdict of its rules."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tocsin.catalog.compile import CompiledChannel
from tocsin.decision.evaluation import Evaluation
from tocsin.decision.evaluator import evaluate
from tocsin.decision.rules import Rules
from tocsin.decision.user_state import ContactPoint
from tocsin.decision.verdict import Verdict

_NOBODY: tuple[None] = (None,)


class Route(NamedTuple):
    """One channel or contact point, and what its rules say; `point` is None for the channel as a whole."""

    channel: CompiledChannel
    point: ContactPoint | None
    verdict: Verdict


def routes(evaluation: Evaluation, channels: Sequence[CompiledChannel], rules: Rules) -> Iterator[Route]:
    """Ask the rules about each channel, and about each contact point of those that pass.

    A channel without a contact point is asked once, so that there is an outcome for it.
    """
    for channel in channels:
        evaluation.channel, evaluation.contact_point = channel, None
        verdict = evaluate(rules.channel, evaluation) if rules.channel else None
        if verdict is not None:
            yield Route(channel, None, verdict)
            continue
        name = channel.name
        points = [point for point in evaluation.recipient.contact_points if point.channel == name]
        for point in points or _NOBODY:
            evaluation.contact_point = point
            yield Route(channel, point, evaluate(rules.target, evaluation))
