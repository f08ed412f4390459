-- data: every outcome is lost
DROP TABLE IF EXISTS outcomes;
