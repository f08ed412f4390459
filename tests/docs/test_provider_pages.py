"""The pages of the providers name each vendor, its settings, and the errors that its adapter makes."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import tocsin.errors
from tests.docs.repository import ROOT
from tocsin.errors import DeliveryError
from tocsin.providers.registry import Vendor, vendors
from tocsin.providers.vendor import Account, HttpAccount

FOLDER = ROOT / "docs/providers"
EXAMPLE = ROOT / "examples/providers.example.yaml"
COMMON = {*Account.model_fields, *HttpAccount.model_fields}
"""Fields that docs/providers/README.md explains once, and docs/outages.md."""

WAITING: frozenset[str] = frozenset()
"""Vendors whose page is not written yet."""

VENDORS = pytest.mark.parametrize("vendor", [each for each in vendors().values() if each.name not in WAITING])


def page(vendor: Vendor) -> str:
    """Read the page of a vendor."""
    return (FOLDER / f"{vendor.name}.md").read_text()


def coded(text: str) -> set[str]:
    """List what a page has in backticks, and the names in its examples."""
    return set(re.findall(r"`([^`\n]+)`", text)) | set(re.findall(r"(\w+):", text))


def own_fields(account: type[Account]) -> set[str]:
    """List the fields that this vendor's account has and others do not explain."""
    common = COMMON if issubclass(account, HttpAccount) else set(Account.model_fields)
    return set(account.model_fields) - common


def errors_of(vendor: Vendor) -> set[str]:
    """List the classes of errors that a vendor's module names."""
    module = sys.modules[vendor.account.__module__]
    names = {node.id for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Name)}
    return {name for name in names if _is_delivery_error(getattr(tocsin.errors, name, None))}


def _is_delivery_error(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, DeliveryError) and found is not DeliveryError


@VENDORS
def test_a_page_names_each_setting(vendor: Vendor) -> None:
    assert own_fields(vendor.account) - coded(page(vendor)) == set()


@VENDORS
def test_a_page_names_each_class_of_error(vendor: Vendor) -> None:
    assert errors_of(vendor) - coded(page(vendor)) == set()


@VENDORS
def test_a_page_shows_the_account_and_how_to_prove_it(vendor: Vendor) -> None:
    text = page(vendor)
    assert f"vendor: {vendor.name}" in text
    assert "`tocsin check" in text, "it says how the account is proven, or why it cannot be"


@VENDORS
def test_the_index_and_the_example_have_each_vendor(vendor: Vendor) -> None:
    assert f"| `{vendor.name}` | [" in (FOLDER / "README.md").read_text()
    assert f"vendor: {vendor.name}," in EXAMPLE.read_text().replace("}", ",")


def test_each_page_is_a_vendor_s() -> None:
    pages = {path.stem for path in Path(FOLDER).glob("*.md")} - {"README"}
    assert pages <= set(vendors())
    assert not {name for name in WAITING if name in pages}, "take it out of WAITING"


def test_the_checks_find_what_is_missing() -> None:
    sendgrid = vendors()["sendgrid"]
    assert "max_batch" in own_fields(sendgrid.account)
    assert {"Misconfigured", "Rejected", "Throttled", "Transient"} <= errors_of(sendgrid)
    assert "max_batch" not in coded("the field max_batch")
