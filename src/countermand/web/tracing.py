"""How does a traced call differ? Each hop is wrapped in its span; without traces nothing of this is on the way."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from litestar import Request
from litestar.types import HTTPScope, Receive
from opentelemetry.trace import Span

from countermand.actions.cancelling.cancel_orders import CancelOutcome
from countermand.actions.ports import CancelOrder
from countermand.contracts.http.answer import Answer, headers_of
from countermand.contracts.http.calls import Services
from countermand.contracts.http.cancel_endpoint import Authenticator, CancelEndpoint, Credential
from countermand.contracts.http.openapi import Operation
from countermand.domain.client import Client
from countermand.domain.contract import Door
from countermand.telemetry.tracing import Tracing
from countermand.web.front import CancelCall, Commit
from countermand.web.request_log import given_request_id

Handle = Callable[[Request[Any, Any, Any]], Awaitable[Answer]]


@dataclass(frozen=True)
class TracedCalls:
    """Makes the parts of a call traced ones."""

    tracing: Tracing

    def cancel(self, call: CancelCall) -> CancelCall:
        """The same call, in a span of its own, with one for each hop; its parts are taken as they are."""
        parts = {field.name: getattr(call, field.name) for field in fields(call)}
        return _TracedCancel(**parts | {"door": _TracedEndpoint(self.tracing, call.door)}, tracing=self.tracing)

    def handler(self, operation: Operation, handle: Handle) -> Handle:
        """The same handler of the framework, in a span of its own."""

        async def traced(request: Request[Any, Any, Any]) -> Answer:
            headers = headers_of(request.scope)
            with self.tracing.request(operation.method, operation.path, headers) as span:
                answer = await handle(request)
                _tell(self.tracing, span, headers, answer)
            return answer

        return traced

    def services(self, services: Services) -> Services:
        """The same services: finding out who calls, and waiting for a batch, have spans."""
        return replace(
            services,
            authenticator=_TracedAuthenticator(self.tracing, services.authenticator),
            cancel=self._waiting(services.cancel),
        )

    def commit(self, commit: Commit) -> Commit:
        """The same group commit, with a span for the wait."""
        return _TracedCommit(self._waiting(commit.submit))

    def _waiting(self, submit: Callable[[CancelOrder], Awaitable[CancelOutcome]]) -> "_Submit":
        async def traced(command: CancelOrder) -> CancelOutcome:
            with self.tracing.waiting(command.command_id):
                return await submit(command)

        return traced


_Submit = Callable[[CancelOrder], Awaitable[CancelOutcome]]


@dataclass(frozen=True, kw_only=True)
class _TracedCancel(CancelCall):
    tracing: Tracing

    async def answer(self, scope: HTTPScope, receive: Receive) -> Answer:
        headers = headers_of(scope)
        (path, *_) = sorted(self.door.paths)
        with self.tracing.request(scope["method"], path, headers) as span:
            answer = await super().answer(scope, receive)
            _tell(self.tracing, span, headers, answer)
        return answer


@dataclass(frozen=True)
class _TracedCommit:
    _submit: _Submit

    async def submit(self, command: CancelOrder) -> CancelOutcome:
        return await self._submit(command)


class _TracedAuthenticator:
    """Fulfils `Authenticator`."""

    def __init__(self, tracing: Tracing, authenticator: Authenticator) -> None:
        self._tracing, self._authenticator = tracing, authenticator

    async def client(self, door: Door, credential: Credential) -> Client:
        with self._tracing.hop("authenticate"):
            return await self._authenticator.client(door, credential)


class _TracedEndpoint:
    """Fulfils `CancelEndpoint`."""

    def __init__(self, tracing: Tracing, door: CancelEndpoint) -> None:
        self._tracing, self._door = tracing, door
        self.door, self.paths = door.door, door.paths
        self.check_transport, self.credential, self.notices = door.check_transport, door.credential, door.notices

    def command(self, client: Client, headers: Mapping[bytes, bytes], body: bytes) -> CancelOrder:
        with self._tracing.hop("command"):
            return self._door.command(client, headers, body)

    def answer(self, outcome: CancelOutcome) -> Answer:
        with self._tracing.hop("answer"):
            return self._door.answer(outcome)

    def error(self, error: Exception) -> Answer:
        with self._tracing.hop("answer"):
            return self._door.error(error)


def _tell(tracing: Tracing, span: Span, headers: Mapping[bytes, bytes], answer: Answer) -> None:
    if (given := given_request_id(headers)) is not None:
        span.set_attribute("countermand.request_id", given)
    if isinstance(answer, Answer):
        tracing.answered(span, answer.status)
