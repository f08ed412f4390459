"""Builds the OpenAPI 3.1 document from the rows of the endpoints; msgspec gives the schemas. Pure."""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from tocsin.gateway.endpoints import JSON, Endpoint, Parameter
from tocsin.gateway.keys import SCOPES
from tocsin.gateway.problems import MEDIA_TYPE, ProblemDocument
from tocsin.gateway.signing import SCHEME

_PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")
_VERSION = re.compile(r"v\d+")
_REF = "#/components/schemas/{name}"
_PROBLEM = "Problem"
_API = "/v1/"
Document = dict[str, Any]

PROBLEMS: Mapping[int, str] = {
    400: "The request cannot be read.",
    401: "There is no valid key, the signature is wrong, or the request was played before.",
    403: "The key lacks the scope, or the request names another tenant.",
    404: "There is nothing of this name.",
    405: "The path has other methods.",
    408: "The body came too slowly.",
    409: "It is not as the request assumes.",
    412: "It has changed meanwhile: read it again.",
    413: "The body is too large.",
    422: "A field does not fit: the document names it, the kind of its value and the cure.",
    429: "The key has used up its rate; `Retry-After` says how long to wait.",
    500: "A fault of ours.",
    503: "Kafka, Redis or ClickHouse is away; `Retry-After` says how long to wait. Nothing is promised.",
}
_OF_ALL = (500, 503)
_OF_CALLERS = (401, 403, 429)
_OF_CHANGES = (409, 412)
_OF_BODIES = (400, 408, 413, 422)
_OF_PARAMETERS = (400, 404, 422)
_OF_PATHS = (404, 422)


def document(endpoints: Sequence[Endpoint], url: str = "") -> Document:
    """Build the document.

    Args:
        endpoints: the rows.
        url: public address of the gateway; empty if it is not known.
    """
    schemas, components = _schemas(endpoints)
    paths: Document = {}
    for endpoint in endpoints:
        path = _PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": _version(),
            "summary": "Notifications: send, cancel, follow; people, inboxes, reports.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url or "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {_PROBLEM: _problem_response()},
            "securitySchemes": _security_schemes(),
        },
    }


def _version() -> str:
    try:
        return version("tocsin")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0"


def _schemas(endpoints: Sequence[Endpoint]) -> tuple[dict[Any, Document], Document]:
    """Make the schema of each type, by type, and the components that they refer to."""
    named: list[Any] = [ProblemDocument]
    for endpoint in endpoints:
        named += [endpoint.body, *endpoint.answers.values(), *(each.type for each in endpoint.parameters)]
    whole = [each for each in dict.fromkeys(named) if each is not None]
    parts = list(dict.fromkeys(part for each in whole for part in members(each)))
    made, components = msgspec.json.schema_components(parts, ref_template=_REF)
    schemas = dict(zip(parts, made, strict=True))
    return {each: _joined([schemas[part] for part in members(each)]) for each in whole}, components


def members(kind: Any) -> tuple[Any, ...]:
    """List the members of a union; msgspec knows none of two structs.

    >>> members(int | str), members(int)
    ((<class 'int'>, <class 'str'>), (<class 'int'>,))
    """
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _joined(schemas: list[Document]) -> Document:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def operation(endpoint: Endpoint, schemas: Mapping[Any, Document]) -> Document:
    """Describe one endpoint."""
    made: Document = {
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [_tag(endpoint.path)],
        "responses": _responses(endpoint, schemas),
    }
    if parameters := _parameters(endpoint, schemas):
        made["parameters"] = parameters
    if endpoint.body is not None or endpoint.media_types != (JSON,):
        made["requestBody"] = _body(endpoint, schemas)
    if endpoint.scope is not None:
        made["security"] = [{"bearer": [endpoint.scope]}, {"signature": []}]
        made["description"] = f"Needs a key with the scope `{endpoint.scope}`: {SCOPES[endpoint.scope]}."
    return made


def operation_id(endpoint: Endpoint) -> str:
    """Name an operation by its method and path.

    >>> from tocsin.gateway.probes import ENDPOINTS
    >>> operation_id(ENDPOINTS[0])
    'get_livez'
    """
    words = [each for each in re.split(r"\W+", endpoint.path) if each and not _VERSION.fullmatch(each)]
    return "_".join([endpoint.method.lower(), *words])


def _tag(path: str) -> str:
    words = [each for each in path.split("/") if each and not _VERSION.fullmatch(each)]
    return words[0].partition(".")[0] if words else "gateway"


def _parameters(endpoint: Endpoint, schemas: Mapping[Any, Document]) -> list[Document]:
    declared = {(each.where, each.name): each for each in endpoint.parameters}
    in_path = [declared.get(("path", name)) or Parameter(name, "path") for name in _in_path(endpoint)]
    others = [each for each in endpoint.parameters if each.where != "path"]
    return [_parameter(each, schemas) for each in (*in_path, *others)]


def _in_path(endpoint: Endpoint) -> list[str]:
    return _PARAMETER.findall(endpoint.path)


def _parameter(parameter: Parameter, schemas: Mapping[Any, Document]) -> Document:
    schema = schemas.get(parameter.type, {"type": "string"})
    if parameter.where == "path" and schema == {"type": "string"}:
        schema = {"type": "string", "minLength": 1}
    made: Document = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required or parameter.where == "path",
        "schema": schema,
    }
    if parameter.description:
        made["description"] = parameter.description
    if parameter.example is not None:
        made["example"] = parameter.example
    return made


def _body(endpoint: Endpoint, schemas: Mapping[Any, Document]) -> Document:
    plain: Document = {"type": "string"}
    content: Document = {"schema": plain if endpoint.body is None else schemas[endpoint.body]}
    if endpoint.example is not None:
        content["example"] = msgspec.to_builtins(endpoint.example)
    return {"required": True, "content": dict.fromkeys(endpoint.media_types, content)}


def _responses(endpoint: Endpoint, schemas: Mapping[Any, Document]) -> Document:
    answers = {str(status): _answer(status, kind, schemas) for status, kind in endpoint.answers.items()}
    problems = {str(status): _refusal(endpoint, status) for status in refusals(endpoint)}
    return dict(sorted({**problems, **answers}.items()))


def _refusal(endpoint: Endpoint, status: int) -> Document:
    """Describe a refusal: a problem document, or whatever a page shows to people."""
    if endpoint.path.startswith(_API):
        return {"$ref": f"#/components/responses/{_PROBLEM}"}
    return {"description": PROBLEMS[status]}


def refusals(endpoint: Endpoint) -> list[int]:
    """List the statuses with which an endpoint may refuse."""
    statuses = set(_OF_ALL)
    # Without a scope, an endpoint of the API checks its callers itself: by a user's token, or a signature.
    statuses |= set(_OF_CALLERS) if endpoint.path.startswith(_API) else set()
    statuses |= set(_OF_CHANGES) if endpoint.path.startswith(_API) and endpoint.method != "GET" else set()
    has_body = endpoint.body is not None or endpoint.media_types != (JSON,)
    statuses |= set(_OF_BODIES) if has_body else set()
    statuses |= set(_OF_PARAMETERS) if endpoint.parameters else set()
    statuses |= set(_OF_PATHS) if _in_path(endpoint) else set()
    return sorted(statuses)


def _answer(status: int, kind: Any, schemas: Mapping[Any, Document]) -> Document:
    if kind is None:
        return {"description": _DONE.get(status, PROBLEMS.get(status, "Answered."))}
    if kind is ProblemDocument:
        return {"$ref": f"#/components/responses/{_PROBLEM}"}
    content = {JSON: {"schema": schemas[kind]}}
    return {"description": _DONE.get(status, PROBLEMS.get(status, "Answered.")), "content": content}


_DONE = {
    200: "Done.",
    201: "Made.",
    202: "Accepted: Kafka has it, on all replicas.",
    204: "Done; there is nothing to say.",
    303: "Look there.",
    304: "Nothing has changed.",
}


def _problem_response() -> Document:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemDocument")}}}
    return {"description": "Refused (RFC 9457): what is wrong, where, and the cure.", "content": content}


def _security_schemes() -> Document:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "tk_<id>_<secret>",
            "description": "An API key: `tocsin keys create`.",
        },
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": f"`{SCHEME} key=…, time=…, nonce=…, body=…, signature=…`: docs/gateway.md.",
        },
    }
