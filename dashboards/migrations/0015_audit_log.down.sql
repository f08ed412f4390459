-- The audit log is lost with its table; the topic `audit` has what its retention keeps.
DROP TABLE IF EXISTS audit_log;
