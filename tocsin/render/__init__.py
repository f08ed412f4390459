"""Templates and data become what a recipient sees. Pure."""
