"""Tocsin: domain events in Kafka become notifications people want."""
