"""Wraps calls in spans: one for the whole request, and one for each hop. Without traces, no call is wrapped."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, replace

from litestar.types import HTTPScope, Receive
from opentelemetry.trace import Span

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.cancelling.command_ids import CommandId
from countermand.actions.cancelling.ports import CancelOrder
from countermand.contracts.http.answer import Answer, headers_of
from countermand.contracts.http.calls import Services
from countermand.contracts.http.cancel_endpoint import Authenticator, CancelEndpoint, Credential
from countermand.contracts.http.openapi import Operation
from countermand.domain.client import Client
from countermand.domain.contract import Channel
from countermand.domain.staff_id import StaffId
from countermand.telemetry.tracing import Tracing
from countermand.web.framework import FrameworkRequest
from countermand.web.front import CancelCall
from countermand.web.reporting import given_request_id

Handle = Callable[[FrameworkRequest], Awaitable[Answer]]
Submit = Callable[[CancelOrder], Awaitable[CancelOutcome]]


@dataclass(frozen=True)
class TracedCalls:
    """Returns traced versions of calls, handlers and services."""

    tracing: Tracing

    def cancel(self, call: CancelCall) -> CancelCall:
        """Return the same call in a span of its own, with a span for each hop."""
        parts = {field.name: getattr(call, field.name) for field in fields(call)}
        return _TracedCancel(**parts | {"endpoint": _TracedEndpoint(self.tracing, call.endpoint)}, tracing=self.tracing)

    def handler(self, operation: Operation, handle: Handle) -> Handle:
        """Return the same handler of the framework in a span of its own."""

        async def traced(request: FrameworkRequest) -> Answer:
            headers = headers_of(request.scope)
            with self.tracing.request(operation.method, operation.path, headers) as span:
                answer = await handle(request)
                _tell(self.tracing, span, headers, answer)
            return answer

        return traced

    def services(self, services: Services) -> Services:
        """Return the same services, with a span for the authentication and one for the wait for a batch."""
        return replace(
            services,
            authenticator=_TracedAuthenticator(self.tracing, services.authenticator),
            cancel=self.waiting(services.cancel),
        )

    def waiting(self, submit: Submit) -> Submit:
        """Return the same function, with a span for the wait for a batch."""

        async def traced(command: CancelOrder) -> CancelOutcome:
            with self.tracing.waiting(command.command_id):
                return await submit(command)

        return traced


@dataclass(frozen=True, kw_only=True)
class _TracedCancel(CancelCall):
    tracing: Tracing

    async def answer(self, scope: HTTPScope, receive: Receive) -> Answer:
        headers = headers_of(scope)
        (path, *_) = sorted(self.endpoint.paths)
        with self.tracing.request(scope["method"], path, headers) as span:
            answer = await super().answer(scope, receive)
            _tell(self.tracing, span, headers, answer)
        return answer


class _TracedAuthenticator:
    """Implements `Authenticator`."""

    def __init__(self, tracing: Tracing, authenticator: Authenticator) -> None:
        self._tracing, self._authenticator = tracing, authenticator

    async def client(self, channel: Channel, credential: Credential) -> Client:
        with self._tracing.hop("authenticate"):
            return await self._authenticator.client(channel, credential)

    async def acting_as(self, client: Client, given: str) -> StaffId:
        return await self._authenticator.acting_as(client, given)


class _TracedEndpoint:
    """Implements `CancelEndpoint`."""

    def __init__(self, tracing: Tracing, endpoint: CancelEndpoint) -> None:
        self._tracing, self._endpoint = tracing, endpoint
        self.channel, self.paths, self.notices = endpoint.channel, endpoint.paths, endpoint.notices
        self.check_transport, self.credential = endpoint.check_transport, endpoint.credential
        self.shows_order = endpoint.shows_order

    def command(
        self,
        client: Client,
        headers: Mapping[bytes, bytes],
        query: bytes,
        body: bytes,
        command_id: CommandId,
        address: str | None,
    ) -> CancelOrder:
        with self._tracing.hop("command"):
            return self._endpoint.command(client, headers, query, body, command_id, address)

    def answer(self, outcome: CancelOutcome) -> Answer:
        with self._tracing.hop("answer"):
            return self._endpoint.answer(outcome)

    def error(self, error: Exception) -> Answer:
        with self._tracing.hop("answer"):
            return self._endpoint.error(error)


def _tell(tracing: Tracing, span: Span, headers: Mapping[bytes, bytes], answer: Answer) -> None:
    if (given := given_request_id(headers)) is not None:
        span.set_attribute("countermand.request_id", given)
    if isinstance(answer, Answer):
        tracing.set_status(span, answer.status)
