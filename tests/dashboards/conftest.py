"""A database with the schema that the tests of one file share."""

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, store


@pytest.fixture(scope="module")
def client(clickhouse_module_db: str) -> Client:
    """Client of a database with the schema."""
    migrate.migrate(clickhouse_module_db)
    return store.connect(clickhouse_module_db)
