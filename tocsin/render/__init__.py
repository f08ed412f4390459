"""Renders templates and data into what a recipient sees. Pure."""
