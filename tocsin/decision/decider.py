"""Decides one evaluation: asks the rules of the whole, and calls the handler of their verdict.

| verdict | handler |
|---|---|
| none objects | `tocsin.decision.admission` |
| `Hold` | `tocsin.decision.holding` |
| `Merge` | `tocsin.decision.digests` |
| all others | `tocsin.decision.endings` |

Rules write nothing; the handlers write outcomes, messages, timers and counters.
"""

from tocsin.decision import digests
from tocsin.decision.admission import readmit, route
from tocsin.decision.effects import Decision
from tocsin.decision.endings import dead_letter, finish
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.evaluator import evaluate
from tocsin.decision.holding import hold
from tocsin.decision.own_keys import give_back_key, remember_key
from tocsin.decision.policy import GatePolicy
from tocsin.decision.rules import Rules
from tocsin.decision.subjects import EventSubject, MessageSubject
from tocsin.decision.verdict import Expire, Hold, Merge

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_EVENT = Stage.EVENT

__all__ = ["dead_letter", "decide", "finish"]


def decide(decision: Decision, evaluation: Evaluation, rules: Rules, policy: GatePolicy) -> None:
    """Decide a notification or returned message; each final outcome is written exactly once (law 1).

    Args:
        decision: takes the effects.
        evaluation: what is decided.
        rules: the rules of the notification at the stage of the evaluation.
        policy: bounds of the user's record.
    """
    verdict = evaluate(rules.given[evaluation.facts], evaluation)
    if evaluation.notification.dedup_key is not None and evaluation.stage is _EVENT:
        remember_key(evaluation, verdict, policy)
    if verdict is None:
        if isinstance(evaluation.subject, MessageSubject):
            readmit(decision, evaluation, evaluation.subject)
        else:
            route(decision, evaluation, evaluation.subject, rules, policy)
    elif isinstance(verdict, Hold):
        hold(decision, evaluation, evaluation.subject, verdict, policy)
    elif isinstance(verdict, Merge):
        _merge(decision, evaluation, verdict, policy)
    else:
        finish(decision, evaluation.subject, verdict, rule=evaluation.rule)
        if isinstance(verdict, Expire):
            give_back_key(evaluation, evaluation.subject)


def _merge(decision: Decision, evaluation: Evaluation, verdict: Merge, policy: GatePolicy) -> None:
    """Add a notification to a digest."""
    subject = evaluation.subject
    assert isinstance(subject, EventSubject), "no rule merges a returned message"
    final = digests.collect(decision, evaluation, subject, verdict, policy)
    finish(decision, subject, final, rule=evaluation.rule)
