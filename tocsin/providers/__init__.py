"""Providers: one vendor a file, the HTTP transport, the async runtime and the send ledger."""
