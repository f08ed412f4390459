"""Which channels an installation uses, and that nothing is decided for a channel without topics."""

from pathlib import Path

import pytest

from flows.channels import check_topics, delivered_channels, known_channels, of_catalog, used_channels
from flows.plan import ShardPlan
from sources.topics import TopicAdmin
from tests.catalog.test_loader import TENANT, folder
from tocsin.app.settings import Settings
from tocsin.catalog.loader import load
from tocsin.errors import CatalogError
from tocsin.model import topics

DECLARED = f"{TENANT}channels: {{telegram: {{}}}}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = folder(tmp_path / "catalog", tenants__default=DECLARED)
    accounts = tmp_path / "providers.yaml"
    accounts.write_text("accounts: {inbox: {vendor: inapp}}\n")
    return Settings(catalog=path, providers=accounts)


class _There(TopicAdmin):
    """Names topics without a server."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def partitions(self) -> dict[str, int]:
        return dict.fromkeys(self._names, 16)


def test_used_are_those_of_catalog_and_accounts(settings: Settings) -> None:
    assert used_channels(settings) == ("email", "inapp", "telegram")


def test_without_a_file_of_accounts_those_of_the_catalog(settings: Settings) -> None:
    settings.providers.unlink()
    assert used_channels(settings) == ("email", "telegram")


def test_options_may_name_all_that_there_are(settings: Settings) -> None:
    assert {"whatsapp", "slack", "telegram"} <= set(known_channels(settings))
    (settings.catalog / "tenants/default.yaml").write_text("categories: 1\n")
    assert "whatsapp" in known_channels(settings)
    assert "telegram" not in known_channels(settings)


def test_topics_are_those_of_the_channels_in_use(settings: Settings) -> None:
    found = topics.needed(used_channels(settings))
    assert [name for name in found if topics.channel_of(name)] == [
        f"messages.{channel}.{way}" for channel in ("email", "inapp", "telegram") for way in ("now", "bulk")
    ]
    assert set(topics.GATE_INPUTS) < set(found)


def test_delivered_is_also_what_still_has_messages() -> None:
    there = ["events", "messages.sms.now", "messages.discord.bulk"]
    assert delivered_channels({"telegram", "email"}, there) == ("email", "sms", "discord", "telegram")


def test_a_catalog_whose_channels_have_no_topics_is_refused(settings: Settings) -> None:
    catalog = load(settings.catalog)
    assert of_catalog(catalog) == {"email", "telegram"}
    there = topics.messages_of(("email",))
    with pytest.raises(CatalogError, match=r"messages\.telegram\.now, .*run `tocsin topics create`"):
        check_topics(_There(*there))(catalog)
    check_topics(_There(*there, *topics.messages_of(("telegram",))))(catalog)


def test_a_plan_without_channels_delivers_all_there_are() -> None:
    plan = ShardPlan(0, 1, "deliver", (), ("email", "telegram"))
    assert plan.own_channels == ("email", "telegram")
    assert plan.name == "deliver-0"
    assert "messages.telegram.bulk" in plan.topics
    assert ShardPlan(0, 1, "deliver", ("telegram",), ("email", "telegram")).own_channels == ("telegram",)
