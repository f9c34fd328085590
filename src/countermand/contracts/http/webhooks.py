"""Describes in an OpenAPI 3.1 document what this service sends to endpoints, in the form of Standard Webhooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from countermand.contracts.http.answer import JSON
from countermand.contracts.http.generators import generators_schema

TAG: Final = "webhooks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """A kind of event that is sent to endpoints: its name, what happened, and the struct of its details."""

    kind: str
    summary: str
    details: type[msgspec.Struct]
    has_order: bool = True


def webhooks_described(
    webhooks: Sequence[Webhook], references: str
) -> tuple[dict[str, dict[str, object]], dict[str, object]]:
    """Return the object `webhooks` of a document, and the schemas that it refers to, by their names.

    `references` is the form of a reference to a schema. A receiver must pass over fields that it does not know, so the
    schemas allow more fields, although the structs do not.
    """
    details = [one.details for one in webhooks]
    schemas, components = msgspec.json.schema_components(details, ref_template=references)
    named: dict[str, object] = {}
    open_schemas = {name: generators_schema(_opened(schema), named) for name, schema in components.items()} | named
    described: dict[str, dict[str, object]] = {
        one.kind: {"post": _described(one, schema)} for one, schema in zip(webhooks, schemas, strict=True)
    }
    return described, open_schemas


def _opened(schema: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in schema.items() if name != "additionalProperties"}


def _described(one: Webhook, details: Mapping[str, object]) -> dict[str, object]:
    words = one.kind.replace("_", ".").split(".")
    return {
        "operationId": "on" + "".join(word.capitalize() for word in words),
        "summary": one.summary,
        "tags": [TAG],
        "description": (
            f"The service sends this to each endpoint of the dialect `standard` that hears of `{one.kind}`. It sends "
            "the same event again until the endpoint answers with success."
        ),
        "security": [],
        "parameters": [_header(name, text, required=required) for name, text, required in _HEADERS],
        "requestBody": {"required": True, "content": {JSON: {"schema": _body(one, details)}}},
        "responses": {
            "2XX": {"description": "The receiver has the event, and does not get it again"},
            "410": {"description": "The receiver wants no more events: its endpoint is paused"},
        },
    }


_HEADERS: Final = (
    ("webhook-id", "The id of the event, the same at each attempt", True),
    ("webhook-timestamp", "When this attempt was made, in seconds since 1970", True),
    ("webhook-signature", "The signatures of the attempt, with a blank between them", True),
    ("countermand-attempt", "The number of the attempt, from 1 on", True),
    ("countermand-order-version", "The order's version after the change", False),
    ("countermand-previous-event", "The id of the event before it, of the same order, for this endpoint", False),
)


def _header(name: str, text: str, *, required: bool) -> dict[str, object]:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": {"type": "string"}}


def _body(one: Webhook, details: Mapping[str, object]) -> dict[str, object]:
    number = {"type": "integer" if one.has_order else ["integer", "null"]}
    data = {
        "order": {
            "type": "string" if one.has_order else ["string", "null"],
            "description": "The order's id, such as connect-54; null for an event about an endpoint",
        },
        "version": {**number, "description": "The order's version after the change"},
        "details": details,
        "current_version": {
            "type": ["integer", "null"],
            "description": "The version of the order that is shown; null if none is shown",
        },
    }
    fields = {
        "type": {"type": "string", "const": one.kind, "description": "The kind of the event"},
        "timestamp": {
            "type": "string",
            "format": "date-time",
            "description": "When the change was recorded, in UTC, by the clock of the node",
        },
        "data": {
            "type": "object",
            "description": "What happened, and the fields of the order as its contract shows it, or a link to it",
            "properties": data,
            "required": list(data),
        },
    }
    return {"type": "object", "properties": fields, "required": list(fields)}
