"""The built-in dashboard: pages and a JSON API over the named queries and the stories; read-only.

| path | what |
|---|---|
| `/overview`, `/delivery`, `/providers`, `/engagement`, `/decisions`, `/health` | a page a board |
| `/rows/{query}` | the rows behind a number |
| `/story?q=…`, `/story/{subject}` | what became of a notification, a user or an event |
| `/api/query/{query}`, `/api/story/{subject}`, `/api/choices` | the same as JSON |
| `/login` | takes the token, where one is asked for |
| `/healthz` | the server runs; it does not ask ClickHouse |

The filters of a page are its address: `tenant`, `range` or `from` and `to`, `notification`, `channel`, and on
`/rows` those that the number brought along. Nothing here is an address, token or text of a message.
"""
