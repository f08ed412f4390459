"""Loads, checks and compiles content: notifications, tenants, expressions."""
