"""Delivery reports: outcomes go to the producer's own server as signed webhooks. Pure but for `store`.

The reports that wait are the outcomes in Kafka: each endpoint has its own position in each partition, kept in
Redis. So a slow endpoint costs neither memory nor the others' time, and a replay is an earlier position.
"""
