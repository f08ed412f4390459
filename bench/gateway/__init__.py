"""The gateway beside a plain FastAPI service on the same broker: `python -m bench.gateway`."""
