"""Tests of the producers of the gateway."""
