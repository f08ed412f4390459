"""Variants of the catalog: shares by weight, few moves when weights change, and mistakes with their lines."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalog.test_loader import NOTICE, TENANT, folder, problems
from tocsin.catalog.compile import compile_tenant
from tocsin.catalog.loader import load
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.variants import CompiledVariant, draw

USERS = [f"user-{number}" for number in range(4_000)]


def arms(weights: dict[str, int], tenant: str = "t", name: str = "n") -> tuple[CompiledVariant, ...]:
    """Compile a notification with these arms."""
    notice = {
        "on": {"type": "a.b"},
        "category": "news",
        "channels": ["email"],
        "variants": [{"name": arm, "weight": weight} for arm, weight in weights.items()],
    }
    spec = TenantSpec.model_validate({"categories": {"news": {}}})
    specs = {name: NotificationSpec.model_validate(notice)}
    return compile_tenant(tenant, spec, specs, "v").notifications[name].variants


def drawn(weights: dict[str, int], **about: str) -> list[str]:
    compiled = arms(weights, **about)
    return [draw(compiled, user).name for user in USERS]


@pytest.mark.parametrize("weights", [{"a": 50, "b": 50}, {"a": 90, "b": 9, "c": 1}, {"a": 1, "b": 2, "c": 3}])
def test_each_arm_has_its_share(weights: dict[str, int]) -> None:
    """Of 4,000 users a share is off by less than four standard deviations."""
    found, total = Counter(drawn(weights)), sum(weights.values())
    for name, weight in weights.items():
        share = weight / total
        assert abs(found[name] - share * len(USERS)) < 4 * (len(USERS) * share * (1 - share)) ** 0.5


def test_an_arm_without_weight_has_nobody() -> None:
    assert set(drawn({"a": 0, "b": 1, "c": 0})) == {"b"}


def test_the_order_of_the_arms_and_the_scale_of_the_weights_do_not_matter() -> None:
    assert drawn({"a": 3, "b": 7}) == drawn({"b": 70, "a": 30})


def test_other_notifications_and_tenants_draw_apart() -> None:
    first, second, third = (
        drawn({"a": 1, "b": 1}),
        drawn({"a": 1, "b": 1}, name="m"),
        drawn({"a": 1, "b": 1}, tenant="u"),
    )
    for other in (second, third):
        same = sum(one == two for one, two in zip(first, other, strict=True))
        assert abs(same - len(USERS) / 2) < 4 * (len(USERS) / 4) ** 0.5


weights = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 100), min_size=2, max_size=4)


@given(weights, st.sampled_from("abcd"), st.integers(0, 200))
def test_a_changed_weight_moves_users_only_into_or_out_of_that_arm(
    before: dict[str, int], arm: str, weight: int
) -> None:
    """So an experiment may be ramped up without spoiling what the other arms have measured."""
    after = {**before, arm: weight}
    old, new = arms(before), arms(after)
    grown = weight > before.get(arm, 0)
    for user in USERS[:40]:
        was, is_now = draw(old, user).name, draw(new, user).name
        assert was == is_now or (is_now if grown else was) == arm


def test_the_arms_of_some_users_are_as_they_were() -> None:
    """A release must not move anybody: the arm is part of what an experiment has measured."""
    compiled = arms({"a": 2, "b": 1, "c": 1}, tenant="default", name="offer")
    found = "".join(draw(compiled, user).name for user in USERS[:40])
    assert found == GOLDEN


GOLDEN = "baacccaabacabcaacacaaaacccaaaaaaacccabca"


def variants(tmp_path: Path, *lines: str) -> list[str]:
    text = "".join(f"    - {line}\n" for line in lines)
    return problems(tmp_path, notifications__all=f"{NOTICE}  variants:\n{text}")


@pytest.mark.parametrize(
    ("lines", "number", "text"),
    [
        (["{name: a, weight: 1}"], 5, "one variant alone is no choice, add another or remove `variants`"),
        (["{name: a, weight: 0}", "{name: b, weight: 0}"], 5, "no variant has a weight above 0"),
        (["{name: a, weight: 1}", "{name: a, weight: 2}"], 7, "`a` appears twice, rename one"),
        (
            ["{name: a, weight: 1, holdout: true}", "{name: b, weight: 2, holdout: true}"],
            5,
            "every variant is a holdout, so nobody could ever get it: add one that is sent",
        ),
        (["{name: a, weight: 1}", "{name: b, weight: -1}"], 7, "`weight` is wrong"),
        (["{name: a, weight: 1}", "{name: b c, weight: 1}"], 7, "`name` is wrong"),
        (["{name: a, weight: 1}", "{name: b}"], 7, "`weight` is missing, add it"),
        (["{name: a, weight: 1}", "{name: b, weight: 1, template: gone}"], 7, "no template `gone`, add"),
        (
            ["{name: a, weight: 1}", "{name: b, weight: 1, template: hello, holdout: true}"],
            7,
            "`b` is a holdout and sends nothing, remove `template`",
        ),
    ],
)
def test_a_mistake_in_variants(tmp_path: Path, lines: list[str], number: int, text: str) -> None:
    (found,) = variants(tmp_path, *lines)
    assert found.startswith(f"notifications/all.yaml:{number}: ")
    assert text in found


def test_an_arm_has_the_template_that_it_names(tmp_path: Path) -> None:
    path = folder(tmp_path, tenants__default=TENANT)
    (path / "templates/other/en").mkdir(parents=True)
    text = "  variants: [{name: a, weight: 1}, {name: b, weight: 1, template: other}]\n"
    (path / "notifications/all.yaml").write_text(NOTICE + text)
    found = load(path).notification("default", "hello")
    assert found is not None
    assert [one.message.template for one in found.variants] == ["hello", "other"]
    assert [one.digest_template for one in found.variants] == ["hello", "other"]
