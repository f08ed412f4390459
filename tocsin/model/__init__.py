"""The records that cross borders: events, profiles, messages, outcomes, dead letters; msgspec, no logic."""
