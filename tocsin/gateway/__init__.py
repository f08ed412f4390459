"""The HTTP gateway: producers, people and providers reach Tocsin through it.

A process keeps nothing that others need: it writes to Kafka, and answers 2xx once Kafka has it. So any number
of them serve side by side.

| module | what |
|---|---|
| `endpoints` | an endpoint as one row: route, scope, types of body and answers |
| `call` | one request: its caller, its body within limits |
| `problems` | refusals as documents (RFC 9457) |
| `keys`, `auth` | API keys; who calls, and what the key may do |
| `writer` | records to Kafka, acknowledged |
| `gateway` | what the handlers of a process share |
| `router` | the endpoint of a path |
| `app` | the ASGI application: routes, middleware, sub-packages |
| `server` | the sockets: limits on connections, headers and time |
"""
