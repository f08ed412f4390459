-- Parts of inserts have a file a column again.
ALTER TABLE outcomes RESET SETTING min_bytes_for_wide_part;
