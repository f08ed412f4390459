"""Reads what other software writes into Tocsin's records, and writes these."""
