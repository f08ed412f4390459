"""Reads Kafka: one consumer per process, and tools that read topics outside the flow."""
