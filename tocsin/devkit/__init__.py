"""The embedded default: broker, Redis, ClickHouse, provider sandbox and demo data in one place."""
