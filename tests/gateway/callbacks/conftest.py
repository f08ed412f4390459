"""A gateway with an account of each vendor that reports, and two tenants that send with some of them."""

import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway.running import SECRET, Running, running, settings_for
from tests.providers.samples import message
from tests.providers.test_reports import ACCOUNTS
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.formats.marks import Marks
from tocsin.gateway.gateway import wall_ms

BASE = "http://gateway.test"


@pytest.fixture
async def hooks(kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Run a gateway whose tenant `acme` sends with every account, and `other` with `shared` and `theirs`."""
    accounts = {vendor: {"vendor": vendor, **fields} for vendor, fields in ACCOUNTS.items()}
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    async with reported_to(settings, accounts, tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def reported_to(settings: Settings, accounts: dict[str, Any], tmp_path: Path) -> AsyncIterator[Running]:
    """Run a gateway with these accounts, and three more of the same."""
    accounts["shared"] = accounts["twilio"]
    accounts["theirs"] = accounts["mandrill"]
    accounts["former"] = accounts["mandrill"]
    file = tmp_path / "providers.yaml"
    file.write_text(json.dumps({"accounts": accounts}))
    catalog = tmp_path / "catalog"
    shutil.copytree(example_catalog(), catalog)
    tenant = yaml.safe_load((catalog / "tenants/default.yaml").read_text())
    (catalog / "tenants/default.yaml").unlink()
    mine = [name for name in accounts if name not in ("theirs", "former")]
    for name, named in (("acme", mine), ("other", ["shared", "theirs"])):
        providers = {"email": named}
        (catalog / f"tenants/{name}.yaml").write_text(yaml.safe_dump({**tenant, "providers": providers}))
    settings = settings.model_copy(update={"providers": file, "catalog": catalog})
    async with running(settings, ("receipts", "audit", "dead", "events", "bulk", "profiles")) as found:
        yield found


def mark(tenant: str = "acme", user: str = "u-1") -> str:
    """Make the mark of a message of a tenant."""
    return Marks(SECRET.encode()).of(message("email", tenant=tenant, user=user))


def now_s() -> float:
    """Read the clock that the gateway reads."""
    return wall_ms() / 1_000
