-- What waits is computed from `latest` again.
DROP VIEW IF EXISTS hold_parts_writer;
DROP TABLE IF EXISTS hold_parts;
ALTER TABLE latest DROP COLUMN IF EXISTS message_stage;
