"""Endpoints in the operator's API: add, list, show, pause, resume, rotate, test, remove, and send events again."""

from typing import Final

from countermand.actions.delivering.endpoints import EndpointAdministration, Redelivery
from countermand.contracts.http.answer import Answer, json_answer
from countermand.contracts.http.body import read
from countermand.contracts.http.calls import Call, CallContext, DecodedBody, ServiceCall, no_body
from countermand.contracts.http.lists import list_answer
from countermand.contracts.http.openapi import Reply
from countermand.contracts.manage import endpoint_messages as messages
from countermand.contracts.manage.calls import ROOT, operation
from countermand.contracts.manage.endpoint_attempts import AttemptList
from countermand.contracts.manage.endpoint_output import (
    attempt_shown,
    endpoint_shown,
    endpoint_with_backlog,
    secrets_shown,
)
from countermand.contracts.manage.endpoint_requests import ENDPOINT, Rotation, endpoint_in, redelivery_in, rotation_in
from countermand.contracts.manage.messages import PROBLEM_JSON, Problem
from countermand.domain.client import ClientId, Permission
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import STANDARD, Subscription

_ENDPOINTS: Final = ROOT + "/endpoints"
_ONE: Final = _ENDPOINTS + "/{endpoint}"


class ManagedEndpoints:
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
            ServiceCall(operation=_ADD, body=_wanted, handle=self._add),
            ServiceCall(operation=_SHOW, body=no_body, handle=self._show),
            ServiceCall(operation=_REMOVE, body=no_body, handle=self._remove),
            AttemptList(self._given).call(f"{_ONE}/attempts"),
            ServiceCall(operation=_PAUSE, body=no_body, handle=self._pause),
            ServiceCall(operation=_RESUME, body=no_body, handle=self._resume),
            ServiceCall(operation=_ROTATE, body=rotation_in, handle=self._rotate),
            ServiceCall(operation=_TEST, body=no_body, handle=self._test),
            ServiceCall(operation=_REDELIVER, body=redelivery_in, handle=self._redeliver),
        )

    async def _list(self, _: CallContext[None]) -> Answer:
        return await list_answer(
            await self._endpoints.all(None), endpoint_shown, lambda shown: messages.EndpointList(endpoints=shown)
        )

    async def _add(self, context: CallContext[messages.EndpointGiven]) -> Answer:
        given = context.body
        return json_answer(201, secrets_shown(await self._endpoints.add(given.url, subscription_of(given), None)))

    async def _show(self, context: CallContext[None]) -> Answer:
        return json_answer(200, endpoint_with_backlog(*await self._endpoints.one(endpoint_in(context.request), None)))

    async def _remove(self, context: CallContext[None]) -> Answer:
        await self._endpoints.remove(endpoint_in(context.request), None)
        return Answer(204)

    async def _pause(self, context: CallContext[None]) -> Answer:
        return json_answer(200, endpoint_shown(await self._endpoints.pause(endpoint_in(context.request), None)))

    async def _resume(self, context: CallContext[None]) -> Answer:
        return json_answer(200, endpoint_shown(await self._endpoints.resume(endpoint_in(context.request), None)))

    async def _rotate(self, context: CallContext[Rotation]) -> Answer:
        how = context.body
        made = await self._endpoints.rotate(
            endpoint_in(context.request), None, how.overlap, revoke_old_now=how.revoke_old_now
        )
        return json_answer(200, secrets_shown(made))

    async def _test(self, context: CallContext[None]) -> Answer:
        return json_answer(200, attempt_shown(await self._endpoints.test(endpoint_in(context.request), None)))

    async def _redeliver(self, context: CallContext[Redelivery]) -> Answer:
        count = await self._endpoints.redeliver(endpoint_in(context.request), None, context.body)
        return json_answer(202, messages.Redelivered(events=count))


def subscription_of(given: messages.EndpointGiven) -> Subscription:
    """Return the subscription of a new endpoint of the operator, which nothing but its form was checked of."""
    return Subscription(
        dialect=STANDARD if given.dialect is None else given.dialect,
        kinds=None if given.kinds is None else frozenset(given.kinds),
        contract=None if given.contract is None else ContractName(given.contract),
        client_id=None if given.client is None else ClientId(given.client),
        thin=given.thin or False,
        structured=given.structured or False,
        asymmetric=given.asymmetric or False,
    )


def _wanted(given: DecodedBody) -> messages.EndpointGiven:
    return read(messages.EndpointGiven, given.json)


_LIST: Final = operation(
    "listEndpoints",
    "GET",
    _ENDPOINTS,
    "List the endpoints that events are delivered to, also those that partners added",
    Permission.ENDPOINTS,
    {200: Reply(when="All endpoints but the removed ones", message=messages.EndpointList)},
)
_ADD: Final = operation(
    "addEndpoint",
    "POST",
    _ENDPOINTS,
    "Add an endpoint, which hears of what is written from now on",
    Permission.ENDPOINTS,
    {201: Reply(when="The endpoint with its secret, which is never shown again", message=messages.NewEndpoint)},
    request=messages.EndpointGiven,
    answers_secret=True,
    conflicts=False,
)
_SHOW: Final = operation(
    "readEndpoint",
    "GET",
    _ONE,
    "Read an endpoint, how its last attempts went, and what it did not get yet",
    Permission.ENDPOINTS,
    {200: Reply(when="The endpoint", message=messages.EndpointWithBacklog)},
    parameters=[ENDPOINT],
)
_REMOVE: Final = operation(
    "removeEndpoint",
    "DELETE",
    _ONE,
    "Remove an endpoint. What it did not get is not kept for it any longer",
    Permission.ENDPOINTS,
    {204: Reply(when="The endpoint is removed")},
    parameters=[ENDPOINT],
    takes_key=False,
    conflicts=False,
)
_PAUSE: Final = operation(
    "pauseEndpoint",
    "POST",
    _ONE + "/pause",
    "Send nothing to an endpoint until it is resumed. Its events are kept",
    Permission.ENDPOINTS,
    {200: Reply(when="The paused endpoint", message=messages.Endpoint)},
    parameters=[ENDPOINT],
    takes_key=False,
    conflicts=False,
)
_RESUME: Final = operation(
    "resumeEndpoint",
    "POST",
    _ONE + "/resume",
    "Send an endpoint all that it did not get, also what was given up, oldest first and at a limited rate",
    Permission.ENDPOINTS,
    {200: Reply(when="The resumed endpoint", message=messages.Endpoint)},
    parameters=[ENDPOINT],
    takes_key=False,
    conflicts=False,
)
_ROTATE: Final = operation(
    "rotateEndpoint",
    "POST",
    _ONE + "/rotate",
    "Give an endpoint a new secret. During the overlap, events are signed with the old one, too",
    Permission.ENDPOINTS,
    {200: Reply(when="The endpoint with its new secret, which is never shown again", message=messages.NewEndpoint)},
    request=messages.RotationGiven,
    parameters=[ENDPOINT],
    answers_secret=True,
    may_lack_body=True,
)
_TEST: Final = operation(
    "testEndpoint",
    "POST",
    _ONE + "/test",
    "Send a test event now, in the same way as every other event, and return the attempt",
    Permission.ENDPOINTS,
    {200: Reply(when="The attempt, whether it failed or not", message=messages.Attempt)},
    parameters=[ENDPOINT],
    takes_key=False,
    conflicts=False,
)
_REDELIVER: Final = operation(
    "redeliverEvents",
    "POST",
    _ONE + "/redeliver",
    "Send events again under the same ids: one, those that failed between two instants, or those after a position",
    Permission.ENDPOINTS,
    {
        202: Reply(when="How many events are sent again", message=messages.Redelivered),
        410: Reply(
            when="`after` does not lead on without a gap; `next` has the cursor to go on at",
            message=Problem,
            media_type=PROBLEM_JSON,
        ),
    },
    request=messages.RedeliveryGiven,
    parameters=[ENDPOINT],
    takes_key=False,
    conflicts=False,
)
