"""The exact store: a lane's records and timers, changed once per epoch. It knows nothing of notifications."""
