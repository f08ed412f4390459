-- The view of law 1 goes.
DROP VIEW IF EXISTS final_words;
