"""The soak: the whole pipeline for minutes, while all that it rests on fails in turn."""
