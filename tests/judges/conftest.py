"""The judges as fixtures: each is started once a session, by the first test that asks for it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.judges.servers import SPECS, moto_server, prism_of


@pytest.fixture(scope="session")
def prism() -> Iterator[Callable[[str], str]]:
    """Give the URL of a Prism over the contract of a name, as `prism("sendgrid")`.

    `TOCSIN_PROVIDER_SPECS` names a folder with whole contracts, which go before the extracts in `specs/`.
    """
    given = os.environ.get("TOCSIN_PROVIDER_SPECS")
    urls: dict[str, str] = {}
    with contextlib.ExitStack() as running:

        def start(name: str) -> str:
            whole = Path(given or SPECS) / f"{name}.json"
            spec = whole if whole.exists() else SPECS / f"{name}.json"
            urls[name] = urls.get(name) or running.enter_context(prism_of(spec))
            return urls[name]

        yield start


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Give the URL of moto's server."""
    with moto_server() as url:
        yield url
