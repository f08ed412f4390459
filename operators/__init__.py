"""Bytewax operators over core: decode, lane, gate, deliver, track."""
