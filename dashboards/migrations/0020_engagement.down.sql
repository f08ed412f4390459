-- What became of messages is computed from outcomes again.
DROP VIEW IF EXISTS engagement_hour_writer;
DROP TABLE IF EXISTS engagement_hour;
