"""Replay: chooses records of topics again, and writes them where they are decided anew."""
