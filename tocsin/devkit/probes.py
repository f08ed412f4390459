"""Asks a server in its own protocol whether it is ready. An open port proves nothing."""

import http.client
import socket
import struct

_TIMEOUT_S = 1.0
_HOST = "127.0.0.1"
_CLIENT_ID = b"probe"
# Kafka request header v1 of ApiVersions v0: api key 18, version 0, correlation id 1, client id.
_API_VERSIONS = struct.pack(">hhih", 18, 0, 1, len(_CLIENT_ID)) + _CLIENT_ID


def kafka_answers(port: int) -> bool:
    """Tell whether a Kafka broker answers ApiVersions without an error."""
    reply = _exchange(port, struct.pack(">i", len(_API_VERSIONS)) + _API_VERSIONS, 10)
    return len(reply) == 10 and struct.unpack(">iih", reply)[1:] == (1, 0)  # correlation id, error code


def redis_answers(port: int) -> bool:
    """Tell whether a Redis answers PING; while it loads its log it says so instead."""
    return _exchange(port, b"PING\r\n", 7) == b"+PONG\r\n"


def http_answers(port: int, path: str) -> bool:
    """Tell whether an HTTP server answers a GET with 200."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _exchange(port: int, request: bytes, size: int) -> bytes:
    """Send a request, read up to `size` bytes; what came until then if the server hangs up."""
    try:
        with socket.create_connection((_HOST, port), _TIMEOUT_S) as connection:
            connection.sendall(request)
            reply = b""
            while len(reply) < size and (chunk := connection.recv(size - len(reply))):
                reply += chunk
            return reply
    except OSError:
        return b""
