"""Reads the address of a server alone, for commands that need no other setting.

The whole settings take half as long to load as such a command has for its answer.
"""

import os
from typing import Final

CLICKHOUSE: Final = "http://default:@127.0.0.1:8123/tocsin"
_CLICKHOUSE: Final = "TOCSIN_CLICKHOUSE"


def clickhouse() -> str:
    """Return ClickHouse's address as the settings would; `dashboards.store.address` checks it.

    As in the settings, small letters in the variable's name are capitals.
    """
    named = {name.upper(): value for name, value in os.environ.items()}
    return os.environ.get(_CLICKHOUSE, named.get(_CLICKHOUSE, CLICKHOUSE))
