-- The arm of an experiment that the user is in; empty where the notification has no variants.
ALTER TABLE outcomes ADD COLUMN IF NOT EXISTS variant LowCardinality(String) DEFAULT '' AFTER catalog_version;
