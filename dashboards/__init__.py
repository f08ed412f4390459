"""ClickHouse: schema, named queries, dashboards."""
