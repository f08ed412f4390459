-- The state of a message is computed from outcomes again.
DROP VIEW IF EXISTS latest_writer;
DROP TABLE IF EXISTS latest;
