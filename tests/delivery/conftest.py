"""Fixtures of the ledger and the runtime: a Valkey of their own, an asyncio loop in a thread."""

from tests.providers.conftest import own_valkey, runtime

__all__ = ["own_valkey", "runtime"]
