"""Kafka in: one consumer a process."""
