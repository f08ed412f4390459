-- Who changed what: catalogs, preferences, broadcasts, blocks, erasures, this schema. Rows are added, never changed;
-- an erasure alone takes the name of a user away.
CREATE TABLE IF NOT EXISTS audit_log
(
    audit_id  String CODEC(ZSTD(1)),
    at_ms     Int64 CODEC(Delta, ZSTD(1)),
    action    LowCardinality(String),
    actor     LowCardinality(String),
    tenant    LowCardinality(String),
    user      String CODEC(ZSTD(1)),
    subject   String CODEC(ZSTD(1)),
    detail    String DEFAULT '{}' CODEC(ZSTD(1)),
    at        DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(at_ms, 'UTC'),
    stored_at DateTime('UTC') MATERIALIZED now('UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Milli(at_ms, 'UTC'))
ORDER BY (tenant, at_ms, audit_id);
