"""Starts what Tocsin needs on one machine: broker, Redis, ClickHouse, provider sandbox and demo data."""
