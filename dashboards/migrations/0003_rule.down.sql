-- The names of rules are lost.
ALTER TABLE outcomes DROP COLUMN IF EXISTS rule;
