"""Out: the Kafka outbox, ClickHouse, and the channel sink operators."""
