"""Bytewax operators: decode, group by key group, gate, deliver, track."""
