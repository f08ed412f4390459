"""Simulation: history decided again by another catalog, and compared with what happened."""
