-- Dead letters of the topic `dead`: where a record came from and why it ended; never what was in it.
CREATE TABLE IF NOT EXISTS dead_letters
(
    letter_id      String CODEC(ZSTD(1)),
    tenant         LowCardinality(String),
    user           String CODEC(ZSTD(1)),
    origin         String CODEC(ZSTD(1)),
    topic          LowCardinality(String),
    stage          LowCardinality(String),
    reason         LowCardinality(String),
    error          String CODEC(ZSTD(1)),
    attempts       UInt32,
    first_ms       Int64 CODEC(Delta, ZSTD(1)),
    last_ms        Int64 CODEC(Delta, ZSTD(1)),
    bytes          UInt32,
    dead_partition UInt32,
    dead_offset    Int64 CODEC(Delta, ZSTD(1)),
    at_ms          Int64 CODEC(Delta, ZSTD(1)),
    at             DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(at_ms, 'UTC'),
    stored_at      DateTime('UTC') MATERIALIZED now('UTC'),
    INDEX by_user user TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_origin origin TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Milli(last_ms, 'UTC'))
ORDER BY (tenant, last_ms, letter_id);
