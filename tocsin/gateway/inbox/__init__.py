"""The in-app inbox over HTTP: lists, marks, live changes, user tokens, and a component for pages.

| module | what |
|---|---|
| `tokens` | user tokens: how they are signed and checked |
| `api` | the endpoints |
| `service` | inboxes by tenant; reports of what users do, to Kafka |
| `hub` | one subscription to Redis, shared by all live connections of the process |
| `session` | what one live connection is told, and when it ends |
| `streams` | WebSocket and server-sent events |
| `pages` | the component's files, and the example page |
"""

from tocsin.gateway.inbox.api import ENDPOINTS
from tocsin.gateway.inbox.pages import ROUTES
from tocsin.gateway.inbox.service import lifespan

__all__ = ["ENDPOINTS", "ROUTES", "lifespan"]
