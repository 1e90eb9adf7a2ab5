"""GET /api/v1/openapi.json: the API as an OpenAPI document, written from the table of `described` and from the routes.

What a path does is its docstring, and the role that it needs is the one that the application checks, so neither can be
another one here.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from bridge import __version__
from bridge.web.described import DESCRIBED, ERROR, LIMIT, TEXT, Described
from bridge.words.roles import Role

_SAYS = {
    "400": "something that was sent cannot be read, or is not known",
    "401": "no token, or one that is not known",
    "403": "the role of the token is too little",
    "404": "there is no such thing",
    "409": "what the order means is no longer what was counted; nothing was done",
    "429": "too many wrong tokens came from this address, or too many look on",
    "503": "the store is away, or busy",
}


class Offer(NamedTuple):
    """One path with a method, as the application has it."""

    method: str
    path: str
    says: str
    role: Role


def document(offers: Iterable[Offer]) -> dict[str, Any]:
    """Return the document. Raises KeyError for a path that is not described."""
    paths: dict[str, dict[str, Any]] = {}
    for each in offers:
        described = DESCRIBED[f"{each.method} {each.path}"]
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, described)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Planasonix to Airflow bridge: admin API",
            "version": __version__,
            "description": "Lists are pages: `next` of an answer is the `after` of the following page.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": ERROR},
            "responses": {status: _refusal(says) for status, says in _SAYS.items()},
        },
    }


def _refusal(says: str) -> dict[str, Any]:
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {"description": says, "content": {"application/json": error}}


def _operation(offer: Offer, described: Described) -> dict[str, Any]:
    kind = "text/event-stream" if described.is_stream else "application/json"
    done = {"description": "done", "content": {kind: {"schema": described.answer}}}
    answers: dict[str, Any] = {"200": done}
    if described.is_order:
        answers["202"] = done | {"description": "placed, and not done yet: `order` says how far it is"}
    says = set(_SAYS) if described.is_order else set(_SAYS) - {"409"}
    answers |= {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(says)}
    summary, _, more = offer.says.partition("\n\n")
    again = _again(offer, described)
    operation: dict[str, Any] = {
        "operationId": f"{offer.method.lower()}{offer.path.translate(_AS_NAME)}".rstrip("_"),
        "summary": " ".join(summary.split()),
        "description": " ".join(f"{more} Needs the role {offer.role}. {again}".split()),
        "x-role": str(offer.role),
        "parameters": list(_parameters(offer.path, described)),
        "responses": answers,
    }
    if described.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": described.body}}}
    return operation


def _again(offer: Offer, described: Described) -> str:
    """Say what it does when it is sent twice; a test holds each path to that."""
    if described.is_order:
        return "Sent again under the same Idempotency-Key it is carried out once."
    return "" if offer.method == "GET" else described.again


_AS_NAME = str.maketrans({"/": "_", "{": None, "}": None, ".": "_"})


def _parameters(path: str, described: Described) -> Iterable[dict[str, Any]]:
    if "{id}" in path:
        yield {"name": "id", "in": "path", "required": True, "schema": TEXT | {"minLength": 1}}
    if described.is_order:
        says = "any text; in the body it is idempotency_key"
        yield {"name": "Idempotency-Key", "in": "header", "description": says, "schema": TEXT}
    for name in sorted(described.query):
        yield {"name": name, "in": "query", "schema": LIMIT if name == "limit" else TEXT}
