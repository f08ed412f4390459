-- Receipts stay in outcomes.
DROP VIEW IF EXISTS receipts_writer;
DROP TABLE IF EXISTS receipts;
