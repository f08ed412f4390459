"""Step ids. They name state in the recovery store: changing one loses offsets, so they never change."""

FLOW = "tocsin"
SOURCE = "kafka"
GATE = "gate"
FAN_OUT = "fan_out"
TRACK = "track"
OUTBOX = "outbox"
DELIVER = "deliver"
