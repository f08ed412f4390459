"""Conditions and weights of accounts: who carries a message, in which order, on every machine the same."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.samples import message
from tocsin.errors import SettingsError
from tocsin.model.message import Message, Target
from tocsin.providers.accounts import load_accounts
from tocsin.providers.choice import Choice, Only


class Setting:
    def __init__(self, name: str, weight: int | None = None, only: Only | None = None) -> None:
        self.name, self.weight, self.only = name, weight, only


def chosen(accounts: list[Setting], letter: Message) -> list[str]:
    choice = Choice({each.name: each for each in accounts})
    return [each.name for each in choice.order(letter, accounts)]


def numbered(number: int) -> Message:
    return msgspec.structs.replace(message("sms"), message_id=f"m{number}")


def to(address: str, channel: str = "sms", **fields: str) -> Message:
    return msgspec.structs.replace(message(channel), target=Target(address), **fields)


def test_weights_share_the_first_choice_and_what_is_left_of_it() -> None:
    accounts = [Setting("a", 6), Setting("b", 3), Setting("c", 1)]
    orders = [chosen(accounts, numbered(n)) for n in range(4_000)]
    first = Counter(order[0] for order in orders)
    assert [round(first[name] / 400) for name in "abc"] == [6, 3, 1]
    second = Counter(order[1] for order in orders if order[0] == "a")
    assert second["b"] / second["c"] == pytest.approx(3, rel=0.15), "the others share it by their weights"


def test_the_draw_of_a_message_is_written_down() -> None:
    """A release that draws otherwise would ask another account for what an older one had left open."""
    accounts = [Setting("a", 6), Setting("b", 3), Setting("c", 1)]
    assert ["".join(chosen(accounts, numbered(n))) for n in range(6)] == DRAWN


DRAWN = ["abc", "bac", "abc", "bac", "acb", "abc"]


@given(st.integers(0, 10**6), st.permutations("abcd"))
def test_an_account_that_is_removed_leaves_the_order_of_the_others(number: int, names: list[str]) -> None:
    weights = {"a": 5, "b": 3, "c": 1, "d": 1}
    accounts = [Setting(name, weights[name]) for name in names]
    whole = chosen(accounts, numbered(number))
    assert chosen([each for each in accounts if each.name != "b"], numbered(number)) == [
        name for name in whole if name != "b"
    ]
    assert whole == chosen([Setting(name, weights[name]) for name in "abcd"], numbered(number))


def test_accounts_without_a_weight_keep_their_places() -> None:
    accounts = [Setting("first"), Setting("a", 1), Setting("b", 1), Setting("last")]
    found = {tuple(chosen(accounts, numbered(n))) for n in range(50)}
    assert found == {("first", "a", "b", "last"), ("first", "b", "a", "last")}


@pytest.mark.parametrize(
    ("only", "letter", "takes"),
    [
        ({}, to("+441234"), True),
        ({"countries": ["+44", "+1"]}, to("+441234"), True),
        ({"countries": ["+44", "+1"]}, to("+491234"), False),
        ({"tenants": ["acme"]}, to("+44", tenant="acme"), True),
        ({"tenants": ["acme"]}, to("+44", tenant="other"), False),
        ({"categories": ["codes"], "priorities": ["critical"]}, to("+44", category="codes"), False),
        ({"priorities": ["critical", "high"]}, to("+44", priority="high"), True),
        ({"domains": ["mail.example"]}, to("Ann@MAIL.example", "email"), True),
        ({"domains": ["mail.example"]}, to("ann@sub.mail.example", "email"), False),
        ({"domains": ["*.mail.example"]}, to("ann@a.sub.mail.example", "email"), True),
        ({"domains": ["*.mail.example"]}, to("ann@mail.example", "email"), False),
        ({"domains": ["bücher.example"]}, to("ann@xn--bcher-kva.example", "email"), True),
        ({"domains": ["*.bücher.example"]}, to("ann@shop.BÜCHER.example", "email"), True),
    ],
)
def test_conditions(only: dict[str, list[str]], letter: Message, takes: bool) -> None:
    assert Only.model_validate(only).takes(letter) is takes
    assert chosen([Setting("a", None, Only.model_validate(only))], letter) == ["a"] * takes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("weight: 0", "providers.yaml:4: accounts.a.weight: "),
        (
            "only: {countries: ['44']}",
            "providers.yaml:4: accounts.a.only.countries.0: does not",
        ),
        (
            "only:\n      domains:\n        - me@x.example",
            "providers.yaml:6: accounts.a.only.domains.0: ",
        ),
        ("only: {country: ['+44']}", "providers.yaml:4: accounts.a.only.country: "),
        ("only: {priorities: [urgent]}", "providers.yaml:4: accounts.a.only.priorities.0: "),
    ],
)
def test_mistakes_name_the_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(f"accounts:\n  a:\n    vendor: inapp\n    {text}\n")
    with pytest.raises(SettingsError) as caught:
        load_accounts(path, {})
    assert f"{tmp_path}/{told}" in str(caught.value)
