-- `why` reads the skip indexes of outcomes again.
DROP VIEW IF EXISTS outcome_hours_writer;
DROP TABLE IF EXISTS outcome_hours;
