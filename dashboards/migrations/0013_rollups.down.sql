-- Figures are computed from outcomes again.
DROP VIEW IF EXISTS outcomes_day_writer;
DROP VIEW IF EXISTS outcomes_hour_writer;
DROP VIEW IF EXISTS outcomes_minute_writer;
DROP VIEW IF EXISTS outcomes_touched_writer;
DROP TABLE IF EXISTS outcomes_day;
DROP TABLE IF EXISTS outcomes_hour;
DROP TABLE IF EXISTS outcomes_minute;
DROP TABLE IF EXISTS outcomes_touched;
