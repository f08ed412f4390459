-- Tenants: when the first and the last outcome of each happened.
-- board: detail
-- chart: table
SELECT tenant, min(at_ms) AS oldest_ms, max(at_ms) AS newest_ms, count() AS outcomes
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY tenant
ORDER BY outcomes DESC, tenant
LIMIT 1000
