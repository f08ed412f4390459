-- Users who were erased, as hashes: rows of them that come late are found by these, and made anonymous too.
CREATE TABLE IF NOT EXISTS erasures
(
    tenant    LowCardinality(String),
    user_hash UInt64,
    erased_ms Int64,
    asked_at  DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = ReplacingMergeTree(erased_ms)
ORDER BY (tenant, user_hash)
TTL asked_at + INTERVAL 60 DAY;
