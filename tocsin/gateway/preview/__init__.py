"""Previews of notifications: a page to try templates and data out, and the requests behind it."""
