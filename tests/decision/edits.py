"""Catalogs that are edited while things are open: written from plain data, loaded as ever."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.decision.gate_world import World, profile
from tocsin.catalog.loader import Catalog, load
from tocsin.decision.gate import Gate

TENANT: Mapping[str, Any] = {
    "categories": {"news": {}, "offers": {"marketing": True}, "alerts": {"required": True}},
    "limits": [],
    "providers": {"email": ["smtp"], "sms": ["twilio"], "push": ["fcm"], "inapp": ["inapp"]},
    "timezone": "UTC",
    "locale": "en",
}


def notification(name: str, **fields: Any) -> dict[str, Any]:
    """Write a notification of the events of its name, by e-mail unless told otherwise."""
    return {"on": {"type": name}, "category": "news", "channels": ["email"], "template": "plain"} | fields


def catalog(notifications: Mapping[str, Any], tenant: Mapping[str, Any] = TENANT) -> Catalog:
    """Load a catalog of one tenant, `quiet`."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "notifications/all.yaml": yaml.safe_dump(dict(notifications)),
            "tenants/quiet.yaml": yaml.safe_dump(dict(tenant)),
            "templates/plain/en/text.j2": "text",
        }
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        return load(folder)


def of(*notifications: dict[str, Any], **tenant: Any) -> Catalog:
    """Load a catalog of these notifications, with some settings of the tenant changed."""
    return catalog({one["on"]["type"]: one for one in notifications}, {**TENANT, **tenant})


def edited(world: World, found: Catalog) -> None:
    """Put another catalog in force."""
    world.gate = Gate(found, world.gate.policy)


def ann(found: Catalog) -> World:
    """Begin a world with one user, who has every contact."""
    world = World(catalog=found)
    world.profile(profile())
    return world
