"""Runs a call of any contract: credential, permission, media type, Idempotency-Key, body, transaction.

Only the cancel endpoints have checks of their own (`contracts/http/cancel_endpoint.py`), because their path is the hot
one.
"""

from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final

from countermand.actions.errors import ConflictError
from countermand.actions.run_idempotently import KeptForm, run_idempotently
from countermand.contracts.http.answer import Answer, ForbiddenError, check_media_type, restored, stored
from countermand.contracts.http.body import decode
from countermand.contracts.http.calls import (
    Body,
    Call,
    CallContext,
    CallRules,
    DecodedBody,
    OpenCall,
    OpenContext,
    Request,
    ServiceCall,
    Services,
    TransactionCall,
    no_body,
)
from countermand.contracts.http.fingerprints import idempotency_key
from countermand.contracts.http.idempotency import key_in, key_of
from countermand.contracts.http.openapi import ACTING_AS, NoPermission, Operation
from countermand.contracts.http.query import Query
from countermand.contracts.http.store import Transaction
from countermand.domain.actor import Actor
from countermand.domain.client import Client

_KEPT_FORM: Final = KeptForm(encode=stored, decode=restored)


async def execute(call: Call, request: Request, services: Services, rules: CallRules) -> Answer:
    """Answer a request to a call.

    Raises errors of `actions/errors.py`, which `rules.error_answer` turns into answers.
    """
    if isinstance(call, OpenCall):
        client = await _client_unless_open(call.operation, request, services, rules)
        return await call.handle(OpenContext(request=request, services=services, client=client))
    assert isinstance(call, ServiceCall | TransactionCall)
    has_media_type = not _lacks_body(call, request) and (call.body is not no_body or isinstance(call, TransactionCall))
    if has_media_type and rules.media_type_first:
        check_media_type(request.headers, also=rules.media_types)
    client, version = await _caller(call.operation, request, services, rules)
    if has_media_type and not rules.media_type_first:
        check_media_type(request.headers, also=rules.media_types)
    actor = await _actor(request, services, rules, client)
    context = _checked(call, request, services, rules, actor, client, version)
    if isinstance(call, ServiceCall):
        return await call.handle(context)
    return await in_transaction(call, context, rules)


async def _client_unless_open(
    operation: Operation, request: Request, services: Services, rules: CallRules
) -> Client | None:
    own = operation.own_credential
    if isinstance(operation.permission, NoPermission) or (own and own.lower().encode() in request.headers):
        return None
    client, _ = await _caller(operation, request, services, rules)
    return client


async def _caller(operation: Operation, request: Request, services: Services, rules: CallRules) -> tuple[Client, int]:
    """Return the client that calls, if it has the permission, and the version that it uses."""
    client = await services.authenticator.client(rules.channel, rules.credential(request.headers))
    version = 0 if rules.version is None else rules.version(request.headers)
    if isinstance(operation.permission, NoPermission):
        return client, version
    if not any(map(client.may, operation.permissions)):
        raise ForbiddenError(rules.permission_missing.format(permission=" or ".join(operation.permissions)))
    if operation.needs_secret and client.in_browser:
        raise ForbiddenError(rules.not_for_browsers)
    return client, version


async def _actor(request: Request, services: Services, rules: CallRules, client: Client) -> Actor:
    """Return who makes the request: the client, its person, and whom it says that it acts for."""
    claimed = request.headers.get(ACTING_AS.lower().encode()) if rules.takes_acting_as else None
    acting_as = None if claimed is None else await services.authenticator.acting_as(client, claimed.decode("latin-1"))
    return Actor(client.id, rules.channel, client.staff_id, acting_as, request.peer or None)


def _lacks_body(call: ServiceCall[Body] | TransactionCall[Body], request: Request) -> bool:
    """Return whether the request has no body, and need not have one. It counts as one with an empty object."""
    return call.operation.may_lack_body and not request.body


def _checked(
    call: ServiceCall[Body] | TransactionCall[Body],
    request: Request,
    services: Services,
    rules: CallRules,
    actor: Actor,
    client: Client,
    version: int,
) -> CallContext[Body]:
    """Return the request with its key and its body, both read."""
    _check_described(call.operation, request, rules)
    sent = key_of(actor, key_in(request.headers)) if call.operation.takes_key else None
    json = None if call.body is no_body else {} if _lacks_body(call, request) else decode(request.body)
    body = call.body(DecodedBody(json=json, client=client, version=version))
    asked = (request.method, request.path, request.query_string, request.body)
    key = idempotency_key(sent, *asked) if call.body is no_body else idempotency_key(sent, *asked, json)
    return CallContext(request=request, services=services, client=client, actor=actor, body=body, key=key)


def _check_described(operation: Operation, request: Request, rules: CallRules) -> None:
    """Raise `FieldsError` for parameters that the call does not have, and for a key if its answer has a secret."""
    refuses_others = rules.refuses_other_parameters and request.query_string != b""
    has_key = operation.answers_secret and b"idempotency-key" in request.headers
    if not refuses_others and not has_key:
        return
    query = Query(request.query_string)
    if has_key:
        said = "Idempotency-Key must be left out: the answer has a secret, and is never stored for a repeat"
        query.errors.append(("Idempotency-Key", said))
    if refuses_others:
        query.refuse_others([str(one["name"]) for one in operation.parameters if one["in"] == "query"])
    query.check()


async def in_transaction(call: TransactionCall[Body], context: CallContext[Body], rules: CallRules) -> Answer:
    """Run the handler of a call in one transaction, once for each Idempotency-Key. Raises as `execute`."""
    services = context.services

    def run(tx: Transaction) -> Awaitable[Answer]:
        return call.handle(tx, context)

    async with _room(call, context):
        return await run_idempotently(
            services.store, services.clock, context.client.id, context.key, run, partial(_refusal, rules), _KEPT_FORM
        )


def _room(call: TransactionCall[Body], context: CallContext[Body]) -> AbstractAsyncContextManager[None]:
    """The call's place among the changes that run at once. It contends for its products, or for what its path names."""
    bulkhead, request = context.services.bulkhead, context.request
    if bulkhead is None:
        return nullcontext()
    if call.products is not None:
        return bulkhead.room(call.products(context.body), stock=True)
    return bulkhead.room([request.path] if request.path_parameters else [])


def _refusal(rules: CallRules, error: ConflictError) -> Answer | None:
    """Return the answer to a business refusal if the contract stores it, else None, which leaves the key unused."""
    answer = rules.error_answer(error)
    return answer if answer.status in rules.kept_refusals else None
