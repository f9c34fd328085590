"""Builds an OpenAPI 3.1 document from operations, which are data.

The routes come from the same operations, so that every call is both served and described.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec

from countermand.contracts.http.answer import JSON
from countermand.contracts.http.body import Number
from countermand.contracts.http.examples import REQUEST, CallExamples, Examples, named_in
from countermand.contracts.http.generators import generators_schema
from countermand.contracts.http.webhooks import TAG, Webhook, webhooks_described
from countermand.domain.client import Permission
from countermand.domain.staff_id import STAFF_ID_PATTERN

_REFERENCES: Final = "#/components/schemas/{name}"
# Describes a body, of a media type, by its message and its examples.
_Content: TypeAlias = Callable[[str, type[msgspec.Struct], str], dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One status that an operation answers with: when, and with which message."""

    when: str
    message: type[msgspec.Struct] | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)  # name: description


@dataclass(frozen=True, slots=True)
class NoPermission:
    """An operation that needs no permission and no credentials; `why` is the reason."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call: its path, purpose, input and output. Parameters are OpenAPI parameter objects."""

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    summary: str
    description: str
    permission: Permission | NoPermission
    replies: Mapping[int, Reply]
    request: type[msgspec.Struct] | None = None
    request_media_type: str = JSON
    may_lack_body: bool = False  # a request without a body is as one with an empty object
    tag: str = "orders"
    needs_secret: bool = False  # a browser application's token is not enough, because anybody can read it in the page
    or_permission: Permission | None = None  # another permission that suffices
    own_credential: str | None = None  # the header with a credential that replaces the permission
    takes_key: bool = False  # whether it takes an Idempotency-Key
    answers_secret: bool = False  # whether the answer has a secret: it is never stored, and a key is refused
    parameters: Sequence[Mapping[str, object]] = ()
    takes_acting_as: bool = False  # whether the description has the header that says whom the client acts for
    spelling_of: str | None = None  # the operation of which this is the same with another spelling of the path

    @property
    def permissions(self) -> tuple[Permission, ...]:
        """The permissions of which one is needed."""
        return tuple(one for one in (self.permission, self.or_permission) if isinstance(one, Permission))


def parameter(
    name: str, where: str, description: str, schema: Mapping[str, object], *, required: bool = True
) -> dict[str, object]:
    """Return an OpenAPI parameter object; `where` is path, query or header."""
    return {"name": name, "in": where, "required": required, "description": description, "schema": schema}


def repeatable(name: str, description: str, items: Mapping[str, object]) -> dict[str, object]:
    """Return the parameter object of a query parameter that may be there several times."""
    schema = {"type": "array", "items": items}
    return {**parameter(name, "query", description, schema, required=False), "style": "form", "explode": True}


_IDEMPOTENCY_KEY: Final = parameter(
    "Idempotency-Key",
    "header",
    "Ours, after the IETF draft. For 24 hours, a repeat with the same key changes nothing and gets the same answer.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!#-~][!-~]*$"},
    required=False,
)


ACTING_AS: Final = "Acting-As"
_ACTING_AS: Final = parameter(
    ACTING_AS,
    "header",
    "The id of the person for whom the client makes the request; it needs the permission act_as. The records show it, "
    "but it is a claim: the person of a request is the person of its token",
    {"type": "string", "pattern": f"^{STAFF_ID_PATTERN}$"},
    required=False,
)


def parameters_of(one: Operation) -> Sequence[Mapping[str, object]]:
    """Return all parameters of an operation as OpenAPI parameter objects."""
    added = [_IDEMPOTENCY_KEY] if one.takes_key else []
    return [*one.parameters, *added, *([_ACTING_AS] if one.takes_acting_as else [])]


def document(
    *,
    title: str,
    version: str,
    description: str,
    server: str,
    operations: Sequence[Operation],
    security: Mapping[str, object],
    examples: Examples = Examples(),  # noqa: B008 - it cannot change
    webhooks: Sequence[Webhook] = (),
) -> dict[str, object]:
    """Return the OpenAPI 3.1 document of some operations, which share one security scheme, or have none.

    `webhooks` are the events that the service sends by itself.
    """
    recorded = examples.by_operation(server)
    required: list[dict[str, list[str]]] = [{scheme: []} for scheme in security]
    messages = {one.request for one in operations if one.request is not None}
    messages |= {reply.message for one in operations for reply in one.replies.values() if reply.message is not None}
    ordered = sorted(messages, key=lambda message: message.__name__)
    schemas, components = msgspec.json.schema_components(
        ordered, schema_hook=schema_of_own_type, ref_template=_REFERENCES
    )
    schema_of = dict(zip(ordered, schemas, strict=True))
    named: dict[str, object] = {}
    components = {name: generators_schema(schema, named) for name, schema in components.items()} | named
    paths: dict[str, dict[str, object]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of, required, recorded)
    sent, of_events = webhooks_described(webhooks, _REFERENCES)
    assert not components.keys() & of_events.keys(), "an event and a message have the same name"
    tags = [*(one.tag for one in operations), *([TAG] if webhooks else [])]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "description": description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],  # a whole address, because programs that read a saved document have no other
        "tags": [{"name": tag} for tag in dict.fromkeys(tags)],
        "paths": paths,
        **({"webhooks": sent} if sent else {}),
        "components": {"schemas": components | of_events, "securitySchemes": dict(security)},
    }


def schema_of_own_type(of: type) -> dict[str, object]:
    """Return the JSON schema of a type that msgspec does not know. Raises `NotImplementedError` for a new one."""
    if issubclass(of, dict):
        return {"type": "object"}
    if of is not Number:
        raise NotImplementedError(f"{of.__name__} has no JSON schema here")
    return {"type": "number"}


def _operation(
    one: Operation,
    schema_of: Mapping[type[msgspec.Struct], object],
    required: Sequence[Mapping[str, Sequence[str]]],
    recorded: Mapping[str, CallExamples],
) -> dict[str, object]:
    is_public = isinstance(one.permission, NoPermission)
    recorded_as = one.spelling_of or one.name

    def content(media_type: str, message: type[msgspec.Struct], part: str) -> dict[str, object]:
        named = named_in(recorded, recorded_as, part, takes_key=one.takes_key)
        shown = {"examples": {name: {"value": value} for name, value in named.items()}} if named else {}
        return {media_type: {"schema": schema_of[message], **shown}}

    described: dict[str, object] = {
        "operationId": one.name,
        "summary": one.summary,
        "tags": [one.tag],
        "description": " ".join([one.description, *_permission_described(one)]),
        "security": [] if is_public else required,
        "parameters": parameters_of(one),
        "responses": {
            str(status): _reply(str(status), reply, content) for status, reply in sorted(one.replies.items())
        },
    }
    if not is_public:
        described |= _permissions_for_programs(one)
    if one.request is not None:
        described["requestBody"] = {
            "required": not one.may_lack_body,
            "content": content(one.request_media_type, one.request, REQUEST),
        }
    return described


def _permissions_for_programs(one: Operation) -> dict[str, object]:
    """Return the permission that a call needs, the one that suffices instead, and those that a header needs besides."""
    described: dict[str, object] = {"x-permission": one.permission}
    if one.or_permission is not None:
        described["x-or-permission"] = one.or_permission
    if one.takes_acting_as:
        described["x-header-permissions"] = {ACTING_AS: Permission.ACT_AS}
    return described


def _permission_described(one: Operation) -> Iterator[str]:
    """Yield sentences about the permission, for the operation's description."""
    if isinstance(one.permission, NoPermission):
        return
    instead = f", or the header `{one.own_credential}` instead" if one.own_credential else ""
    needed = " or ".join(f"`{permission}`" for permission in one.permissions)
    yield f"Needs the permission {needed}{instead}."
    if one.takes_acting_as:
        yield f"With the header `{ACTING_AS}`, it needs the permission `{Permission.ACT_AS}`, too."
    if one.answers_secret:
        yield "The answer has a secret and is never stored, so a request with an Idempotency-Key is refused."
    if one.needs_secret:
        yield "A browser application's token is not enough."


def _reply(status: str, reply: Reply, content: _Content) -> dict[str, object]:
    described: dict[str, object] = {"description": reply.when}
    if reply.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in reply.headers.items()
        }
    if reply.message is not None:
        described["content"] = content(reply.media_type, reply.message, status)
    return described
