"""Content: notifications, tenants, expressions; loaded, checked and compiled."""
