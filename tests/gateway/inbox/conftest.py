"""A Redis of its own for tests that stop it."""

from tests.providers.conftest import own_valkey

__all__ = ["own_valkey"]
