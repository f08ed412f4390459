"""A fused matcher says what the expressions say one by one, or fails and leaves it to them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.decision.gate_world import CATALOG
from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.compiled import CompiledChannel
from tocsin.catalog.digests import CompiledDigest
from tocsin.catalog.expressions import Expression, Scope
from tocsin.catalog.matching import choose
from tocsin.catalog.plain_matching import MATCH_FAILURES, matcher
from tocsin.catalog.schedule import CompiledAt

_BASE = next(iter(CATALOG.tenants["default"].notifications.values()))
_CHANNEL = _BASE.channels[0]


def _channel(name: str, when: str | None = None) -> CompiledChannel:
    return replace(_CHANNEL, name=name, when=None if when is None else Expression(when))


def _notification(**more: Any) -> CompiledNotification:
    plain = {"when": None, "dedup_key": None, "collapse_key": None, "cancel_key": None, "at": None}
    found = replace(_BASE, **{**plain, "digest": None, **more})
    return replace(found, has_conditional_channels=any(one.when is not None for one in found.channels))


def _digest(key: str, items: str) -> CompiledDigest:
    return CompiledDigest(60_000, 0, 0, -1, (), 0, Expression(key), Expression(items), 10, False, False)


_SAME = Expression("data.order")
NOTIFICATIONS = [
    _notification(when=Expression("data.items > 1"), channels=(_channel("push"),)),
    _notification(
        channels=(_channel("push"), _channel("email", "data.items > 2"), _channel("sms", "data.x"))
    ),
    _notification(dedup_key=_SAME, collapse_key=_SAME, cancel_key=Expression("data.items ~ 'x'")),
    _notification(at=CompiledAt(Expression("data.items"), None, -1, 0, "", 0)),
    _notification(digest=_digest("data.order", "{'a': data.items, 'b': [data.x]}")),
]
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(1_800_000_000_000), st.floats(), st.text(max_size=3)
)
_DATA = st.dictionaries(st.sampled_from(["items", "order", "x"]), _VALUES)


@pytest.mark.parametrize("notification", NOTIFICATIONS)
@given(data=_DATA)
def test_a_matcher_says_what_the_expressions_say(
    notification: CompiledNotification, data: dict[str, Any]
) -> None:
    fused = matcher(notification)
    assert fused is not None
    scope = Scope({"data": data})
    try:
        found = fused(scope.variables)
    except MATCH_FAILURES:
        return
    assert found == choose(notification, scope)


def test_a_notification_with_an_expression_for_jinja2_has_no_matcher() -> None:
    assert matcher(_notification(when=Expression("data.items | length > 1"))) is None


def test_where_a_condition_does_not_hold_nothing_else_is_evaluated() -> None:
    fused = matcher(_notification(when=Expression("data.items > 1"), dedup_key=Expression("data.missing")))
    assert fused is not None
    assert fused({"data": {"items": 1}}) is None
    with pytest.raises(MATCH_FAILURES):
        fused({"data": {"items": 2}})
