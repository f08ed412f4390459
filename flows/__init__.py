"""Settings and wiring: which steps make a flow."""
