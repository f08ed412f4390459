-- Ranges of weeks are read by hour again.
DROP VIEW IF EXISTS engagement_day_writer;
DROP TABLE IF EXISTS engagement_day;
