"""Reads mail that comes back: bounces, delays, complaints and auto-replies become receipts."""
