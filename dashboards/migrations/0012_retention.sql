-- How many days outcomes are kept, by tenant and status (`tocsin db retention`). No row: for ever. The tenant `*` is
-- every tenant without a row of its own.
CREATE TABLE IF NOT EXISTS retention
(
    tenant String,
    status String,
    days   UInt16,
    set_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = ReplacingMergeTree(set_at)
ORDER BY (tenant, status);
