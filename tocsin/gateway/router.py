"""Finds the endpoint of a request: by its whole path where that has no parameter, else by pattern."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from tocsin.gateway.endpoints import NONE, Endpoint

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


class Match(NamedTuple):
    """An endpoint with the parameters of its path; or none, with the methods that the path has."""

    endpoint: Endpoint | None
    path: Mapping[str, str] = NONE
    allowed: tuple[str, ...] = ()


class Router:
    """The endpoints by path.

    Raises:
        ValueError: two endpoints have the same method and path.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._plain: dict[str, dict[str, Endpoint]] = {}
        self._found: dict[tuple[str, str], Match] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Endpoint]]] = {}
        for endpoint in endpoints:
            self._add(endpoint)

    def _add(self, endpoint: Endpoint) -> None:
        methods = self._methods(endpoint.path)
        if endpoint.method in methods:
            msg = f"{endpoint.method} {endpoint.path} is there twice"
            raise ValueError(msg)
        methods[endpoint.method] = endpoint
        if "{" not in endpoint.path:
            self._found[endpoint.method, endpoint.path] = Match(endpoint)

    def _methods(self, path: str) -> dict[str, Endpoint]:
        if "{" not in path:
            return self._plain.setdefault(path, {})
        return self._patterns.setdefault(path, (pattern(path), {}))[1]

    def find(self, method: str, path: str, raw: bytes | None = None) -> Match | None:
        """Find the endpoint of a request; None if nothing has that path.

        Args:
            method: its method.
            path: its path, decoded.
            raw: its path as it was sent. There, a slash that is written `%2F` belongs to a parameter.
        """
        if raw is not None and b"%2f" in raw.lower():
            found = self._find(method, raw.decode("latin-1"))
            return found and found._replace(path={name: unquote(text) for name, text in found.path.items()})
        return self._find(method, path)

    def _find(self, method: str, path: str) -> Match | None:
        if (known := self._found.get((method, path))) is not None:
            return known
        plain = self._plain.get(path)
        if plain is not None:
            return _chosen(plain, method, NONE)
        for expression, methods in self._patterns.values():
            if found := expression.fullmatch(path):
                return _chosen(methods, method, found.groupdict())
        return None


def _chosen(methods: Mapping[str, Endpoint], method: str, path: Mapping[str, str]) -> Match:
    return Match(methods.get(method), path, tuple(sorted(methods)))


def pattern(path: str) -> re.Pattern[str]:
    """Compile a path with parameters.

    >>> pattern("/v1/notifications/{id}").fullmatch("/v1/notifications/n-1").groupdict()
    {'id': 'n-1'}
    """
    parts = _PARAMETER.split(path)
    texts, names, kinds = parts[::3], parts[1::3], parts[2::3]
    made = re.escape(texts[0])
    for name, kind, text in zip(names, kinds, texts[1:], strict=True):
        made += f"(?P<{name}>{'.+' if kind else '[^/]+'}){re.escape(text)}"
    return re.compile(made)
