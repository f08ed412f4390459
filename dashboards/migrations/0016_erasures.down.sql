-- What was erased stays erased; rows that come late are no longer found.
DROP TABLE IF EXISTS erasures;
