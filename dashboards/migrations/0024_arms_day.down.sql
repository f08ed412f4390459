-- Arms are read with everything else again.
DROP VIEW IF EXISTS arms_day_writer;
DROP TABLE IF EXISTS arms_day;
