-- What limits suppressed or held is read from the details of outcomes again.
DROP VIEW IF EXISTS limits_hour_writer;
DROP TABLE IF EXISTS limits_hour;
