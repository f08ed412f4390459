-- The part of one insert is one file, not two a column: ClickHouse stores rows with some 10 % less CPU.
-- Parts that merges make are larger than this and have a file a column, as before.
ALTER TABLE outcomes MODIFY SETTING min_bytes_for_wide_part = 104857600;
