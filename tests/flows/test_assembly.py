"""Assembly of a shard's parts."""

import threading
from contextlib import ExitStack

import pytest

from flows.assembly import open_writer
from tocsin.app.settings import Settings
from tocsin.errors import SettingsError


@pytest.mark.parametrize("url", ["http:///db", "http://h:1:2/db"])
def test_an_address_of_clickhouse_that_cannot_be_one_is_refused_before_any_thread_writes(url: str) -> None:
    settings = Settings().model_copy(update={"clickhouse": url})
    before = set(threading.enumerate())
    with ExitStack() as stack, pytest.raises(SettingsError, match="TOCSIN_CLICKHOUSE"):
        open_writer(settings, stack)
    assert set(threading.enumerate()) <= before
