-- Dead letters stay in the topic `dead`.
DROP TABLE IF EXISTS dead_letters;
