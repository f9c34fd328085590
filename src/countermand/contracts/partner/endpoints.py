"""Endpoints in the partners' API. A partner manages its own endpoints, which hear of its own orders alone."""

from typing import Final

from countermand.actions.delivering.endpoints import EndpointAdministration, Redelivery
from countermand.actions.errors import ConflictError
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.calls import Call, CallContext, ServiceCall, body_of, no_body
from countermand.contracts.http.lists import list_answer
from countermand.contracts.http.openapi import Reply
from countermand.contracts.http.query import Query
from countermand.contracts.manage.endpoint_messages import Redelivered, RedeliveryGiven, RotationGiven
from countermand.contracts.manage.endpoint_output import page_of
from countermand.contracts.manage.endpoint_requests import (
    ATTEMPT_FILTERS,
    ENDPOINT,
    Rotation,
    attempts_asked,
    endpoint_in,
    redelivery_in,
    rotation_in,
)
from countermand.contracts.partner import messages
from countermand.contracts.partner.calls import GONE, TOO_MANY, own_operation
from countermand.contracts.partner.output import attempt_shown, endpoint_shown, endpoint_with_backlog, secrets_shown
from countermand.domain.client import Client
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import STANDARD, Subscription

ENDPOINTS_CAP: Final = 100  # of one client
_ONE: Final = "/endpoints/{endpoint}"


class OwnEndpoints:
    """The calls on endpoints. Without `endpoints`, they are only described."""

    def __init__(self, endpoints: EndpointAdministration | None) -> None:
        self._given = endpoints

    @property
    def _endpoints(self) -> EndpointAdministration:
        assert self._given is not None
        return self._given

    def calls(self) -> tuple[Call, ...]:
        """Return the calls on endpoints with their handlers."""
        return (
            ServiceCall(operation=_LIST, body=no_body, handle=self._list),
            ServiceCall(operation=_ADD, body=body_of(messages.OwnEndpointGiven), handle=self._add),
            ServiceCall(operation=_SHOW, body=no_body, handle=self._show),
            ServiceCall(operation=_REMOVE, body=no_body, handle=self._remove),
            ServiceCall(operation=_ATTEMPTS, body=no_body, handle=self._attempts),
            ServiceCall(operation=_PAUSE, body=no_body, handle=self._pause),
            ServiceCall(operation=_RESUME, body=no_body, handle=self._resume),
            ServiceCall(operation=_ROTATE, body=rotation_in, handle=self._rotate),
            ServiceCall(operation=_TEST, body=no_body, handle=self._test),
            ServiceCall(operation=_REDELIVER, body=redelivery_in, handle=self._redeliver),
        )

    async def _list(self, context: CallContext[None]) -> Answer:
        found = await self._endpoints.all(context.client.id)
        return await list_answer(found, endpoint_shown, lambda shown: messages.OwnEndpointList(endpoints=shown))

    async def _add(self, context: CallContext[messages.OwnEndpointGiven]) -> Answer:
        given, client = context.body, context.client
        if len(await self._endpoints.all(client.id)) >= ENDPOINTS_CAP:
            said = f"a client may have {ENDPOINTS_CAP} endpoints; none was added; remove one first"
            raise ConflictError(TOO_MANY, said)
        return json_answer(201, secrets_shown(await self._endpoints.add(given.url, _own(given, client), client.id)))

    async def _show(self, context: CallContext[None]) -> Answer:
        found = await self._endpoints.one(endpoint_in(context.request), context.client.id)
        return json_answer(200, endpoint_with_backlog(*found))

    async def _remove(self, context: CallContext[None]) -> Answer:
        await self._endpoints.remove(endpoint_in(context.request), context.client.id)
        return Answer(204)

    async def _attempts(self, context: CallContext[None]) -> Answer:
        wanted, limit = attempts_asked(Query(context.request.query_string), endpoint_in(context.request))
        page, following = page_of(await self._endpoints.attempts(context.client.id, wanted, limit + 1), limit)
        return json_answer(200, messages.OwnAttempts(attempts=[attempt_shown(one) for one in page], next=following))

    async def _pause(self, context: CallContext[None]) -> Answer:
        paused = await self._endpoints.pause(endpoint_in(context.request), context.client.id)
        return json_answer(200, endpoint_shown(paused))

    async def _resume(self, context: CallContext[None]) -> Answer:
        resumed = await self._endpoints.resume(endpoint_in(context.request), context.client.id)
        return json_answer(200, endpoint_shown(resumed))

    async def _rotate(self, context: CallContext[Rotation]) -> Answer:
        endpoint_id, how = endpoint_in(context.request), context.body
        made = await self._endpoints.rotate(
            endpoint_id, context.client.id, how.overlap, revoke_old_now=how.revoke_old_now
        )
        return json_answer(200, secrets_shown(made))

    async def _test(self, context: CallContext[None]) -> Answer:
        attempt = await self._endpoints.test(endpoint_in(context.request), context.client.id)
        return json_answer(200, attempt_shown(attempt))

    async def _redeliver(self, context: CallContext[Redelivery]) -> Answer:
        count = await self._endpoints.redeliver(endpoint_in(context.request), context.client.id, context.body)
        return json_answer(202, Redelivered(events=count))


def _own(given: messages.OwnEndpointGiven, client: Client) -> Subscription:
    """Return the subscription to the events of a client's own orders."""
    return Subscription(
        dialect=STANDARD if given.dialect is None else given.dialect,
        kinds=None if given.kinds is None else frozenset(given.kinds),
        contract=ContractName(client.channel),  # a partner's channel is that of its contract
        client_id=client.id,
        thin=given.thin or False,
        structured=given.structured or False,
        asymmetric=given.asymmetric or False,
    )


_LIST: Final = own_operation(
    "listEndpoints",
    "GET",
    "/endpoints",
    "List your endpoints",
    {200: Reply(when="Your endpoints but the removed ones", message=messages.OwnEndpointList)},
)
_ADD: Final = own_operation(
    "addEndpoint",
    "POST",
    "/endpoints",
    "Add an endpoint, which hears of what is written of your orders from now on",
    {201: Reply(when="The endpoint with its secret, which is never shown again", message=messages.NewOwnEndpoint)},
    request=messages.OwnEndpointGiven,
    answers_secret=True,
    conflicts=True,
)
_SHOW: Final = own_operation(
    "readEndpoint",
    "GET",
    _ONE,
    "Read an endpoint, how its last attempts went, and what it did not get yet",
    {200: Reply(when="The endpoint", message=messages.OwnEndpointWithBacklog)},
    parameters=[ENDPOINT],
)
_REMOVE: Final = own_operation(
    "removeEndpoint",
    "DELETE",
    _ONE,
    "Remove an endpoint. What it did not get is not kept for it any longer",
    {204: Reply(when="The endpoint is removed")},
    parameters=[ENDPOINT],
)
_ATTEMPTS: Final = own_operation(
    "listAttempts",
    "GET",
    _ONE + "/attempts",
    "List the attempts to deliver events to an endpoint, newest first",
    {200: Reply(when="A page of the list", message=messages.OwnAttempts)},
    parameters=(ENDPOINT, *ATTEMPT_FILTERS),
)
_PAUSE: Final = own_operation(
    "pauseEndpoint",
    "POST",
    _ONE + "/pause",
    "Send nothing to an endpoint until it is resumed. Its events are kept",
    {200: Reply(when="The paused endpoint", message=messages.OwnEndpoint)},
    parameters=[ENDPOINT],
)
_RESUME: Final = own_operation(
    "resumeEndpoint",
    "POST",
    _ONE + "/resume",
    "Send an endpoint all that it did not get, also what was given up, oldest first and at a limited rate",
    {200: Reply(when="The resumed endpoint", message=messages.OwnEndpoint)},
    parameters=[ENDPOINT],
)
_ROTATE: Final = own_operation(
    "rotateEndpoint",
    "POST",
    _ONE + "/rotate",
    "Give an endpoint a new secret. During the overlap, events are signed with the old one, too",
    {200: Reply(when="The endpoint with its new secret, which is never shown again", message=messages.NewOwnEndpoint)},
    request=RotationGiven,
    parameters=[ENDPOINT],
    answers_secret=True,
    conflicts=True,
    may_lack_body=True,
)
_TEST: Final = own_operation(
    "testEndpoint",
    "POST",
    _ONE + "/test",
    "Send a test event now, in the same way as every other event, and return the attempt",
    {200: Reply(when="The attempt, whether it failed or not", message=messages.OwnAttempt)},
    parameters=[ENDPOINT],
)
_REDELIVER: Final = own_operation(
    "redeliverEvents",
    "POST",
    _ONE + "/redeliver",
    "Send events again under the same ids: one, those that failed between two instants, or those after a position",
    {202: Reply(when="How many events are sent again", message=Redelivered), 410: GONE},
    request=RedeliveryGiven,
    parameters=[ENDPOINT],
)
