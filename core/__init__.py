"""Pure decisions: no I/O, no clock, no randomness. Everything a decision needs is passed in."""
