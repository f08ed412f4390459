-- Nothing is deleted by age any more.
-- unless: SELECT create_table_query NOT LIKE '% TTL %' FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes'
ALTER TABLE outcomes REMOVE TTL;
DROP TABLE IF EXISTS retention;
