"""A schema registry in memory: the requests that confluent-kafka's client sends, with faults on demand."""

import base64
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeRegistry:
    """Keeps schemas by id and GUID. `answer` is the status of all answers while it is not 0."""

    def __init__(self, user_info: str = "") -> None:
        self.schemas: list[dict[str, Any]] = []
        self.answer = 0
        self.asked = 0
        self._expected = f"Basic {base64.b64encode(user_info.encode()).decode()}" if user_info else ""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._reply(registry.register(body))

            def do_GET(self) -> None:
                registry.asked += 1
                self._reply(registry.find(self.path.partition("?")[0].strip("/").split("/")))

            def _reply(self, found: dict[str, Any] | None) -> None:
                status = registry.answer or (200 if found is not None else 404)
                if registry._expected not in ("", self.headers["authorization"]):
                    status = 401
                body = found if status == 200 else {"error_code": status * 100 + 3, "message": "no"}
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def register(self, body: dict[str, Any]) -> dict[str, Any]:
        known = next((one for one in self.schemas if one["schema"] == body["schema"]), None)
        if known is None:
            known = {"id": len(self.schemas) + 1, "guid": str(uuid.uuid4()), **body}
            self.schemas.append(known)
        return known

    def find(self, path: list[str]) -> dict[str, Any] | None:
        if path == ["schemas", "types"]:
            return {"types": ["AVRO", "JSON", "PROTOBUF"]}
        name = {"ids": "id", "guids": "guid"}.get(path[1], "")
        return next((one for one in self.schemas if str(one.get(name)) == path[-1]), None)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
