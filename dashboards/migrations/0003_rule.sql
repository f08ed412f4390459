-- The rule that objected: its name in docs/rules.md, empty where none did.
ALTER TABLE outcomes ADD COLUMN IF NOT EXISTS rule LowCardinality(String) DEFAULT '' AFTER reason;
