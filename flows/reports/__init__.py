"""The flow `reports`: outcomes of Kafka to the endpoints of tenants, as signed webhooks."""
