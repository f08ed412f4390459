-- The arms of experiments are lost.
ALTER TABLE outcomes DROP COLUMN IF EXISTS variant;
