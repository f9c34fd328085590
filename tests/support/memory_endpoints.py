"""Keeps endpoints in memory, as the interface says, for tests of the calls and commands on endpoints.

It delivers nothing. A test says how the next attempts end, and adds attempts to the log.
"""

import base64
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from countermand.actions.delivering.dialects import Dialect, Dialects, EventToSend, RenderedEvent
from countermand.actions.delivering.endpoints import (
    Attempt,
    AttemptsWanted,
    Backlog,
    EndpointSecrets,
    Redelivery,
    new_endpoint_id,
)
from countermand.actions.delivering.sending import AttemptError
from countermand.actions.delivering.subscriptions import ClientsById, Subscriptions
from countermand.actions.errors import ConflictError, CursorGoneError, FieldsError, NotFoundError
from countermand.domain.client import ClientId
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import (
    SUBSCRIBABLE_KINDS,
    Endpoint,
    EndpointEventKind,
    EndpointId,
    EndpointNumber,
    EndpointState,
    Health,
    Subscription,
)

_CONNECT = frozenset({"order.advanced", "order.cancelled", "appointment.cancelled"})


def _render(event: EventToSend, subscription: Subscription) -> RenderedEvent:
    raise NotImplementedError(event, subscription)


def dialects() -> Dialects:
    """Dialects that nothing is ever sent in."""
    every = frozenset(SUBSCRIBABLE_KINDS)
    named = {
        "standard": (every, None),
        "cloudevents": (every, None),
        "connect": (_CONNECT, ContractName("connect")),
    }
    return Dialects(
        [
            Dialect(
                name=name,
                about=name,
                kinds=kinds,
                says=lambda kind, _, known=kinds: kind in known,  # type: ignore[misc]
                render=_render,
                contract=contract,
                has_thin=contract is None,
                has_structured=name == "cloudevents",
            )
            for name, (kinds, contract) in named.items()
        ]
    )


@dataclass
class MemoryEndpoints:
    """Implements `EndpointAdministration`. `answers` are the results of the next attempts; then all succeed."""

    clock: Callable[[], datetime]
    clients: ClientsById
    contracts: Sequence[ContractName]
    known: dict[EndpointId, Endpoint] = field(default_factory=dict)
    log: list[Attempt] = field(default_factory=list)
    answers: list[tuple[AttemptError | None, int | None, bytes]] = field(default_factory=list)

    def forget(self) -> None:
        """Have nothing, as at the beginning."""
        for each in (self.known, self.log, self.answers):
            each.clear()

    async def add(self, url: str, subscription: Subscription, owner: ClientId | None) -> EndpointSecrets:
        if not url.startswith("https://"):
            raise FieldsError([("url", "url must begin with https://")])
        rules = Subscriptions(dialects=dialects(), contracts=self.contracts, clients=self.clients)
        checked = await rules.checked(subscription, owner)
        endpoint = Endpoint(
            number=EndpointNumber(len(self.known) + 1),
            id=new_endpoint_id(),
            url=url,
            subscription=checked,
            owner=owner,
            created_at=self.clock(),
            state=EndpointState.ACTIVE,
            health=Health(),
            secret=b"encrypted",
        )
        return self._with_secret(endpoint)

    async def all(self, owner: ClientId | None) -> Sequence[Endpoint]:
        return [one for one in self.known.values() if one.removed_at is None and owner in {None, one.owner}]

    async def one(self, endpoint_id: EndpointId, owner: ClientId | None) -> tuple[Endpoint, Backlog]:
        return self._found(endpoint_id, owner), Backlog(undelivered=2, oldest_at=self.clock(), given_up=1)

    async def pause(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        found = self._found(endpoint_id, owner)
        if found.state is EndpointState.PAUSED:
            return found
        said = "the operator paused it" if owner is None else "its owner paused it"
        return self._keep(replace(found, state=EndpointState.PAUSED, paused_at=self.clock(), paused_because=said))

    async def resume(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        found = self._found(endpoint_id, owner)
        return self._keep(replace(found, state=EndpointState.ACTIVE, paused_at=None, paused_because=None))

    async def remove(self, endpoint_id: EndpointId, owner: ClientId | None) -> None:
        self._keep(replace(self._found(endpoint_id, owner), removed_at=self.clock()))

    async def rotate(
        self, endpoint_id: EndpointId, owner: ClientId | None, overlap: timedelta, *, revoke_old_now: bool
    ) -> EndpointSecrets:
        found, now = self._found(endpoint_id, owner), self.clock()
        until = found.previous_secret_until
        if until is not None and until > now and not revoke_old_now:
            raise ConflictError("overlap_running", f"the old secret signs until {until}; nothing was rotated")
        return self._with_secret(replace(found, previous_secret_until=None if revoke_old_now else now + overlap))

    async def test(self, endpoint_id: EndpointId, owner: ClientId | None) -> Attempt:
        found = self._found(endpoint_id, owner)
        event_id = f"evt_{found.id}_0_endpoint_test_{secrets.token_hex(4)}"
        return self.attempt(found.id, event_id, EndpointEventKind.TEST.value, None)

    async def redeliver(self, endpoint_id: EndpointId, owner: ClientId | None, which: Redelivery) -> int:
        found = self._found(endpoint_id, owner)
        own = [one for one in self.log if one.endpoint_id == found.id]
        if which.event is not None:
            if which.event not in {one.event_id for one in own}:
                raise FieldsError([("event", "event must be one that the endpoint hears of; nothing was sent")])
            return 1
        if which.after is not None:
            if not re.fullmatch("[0-9]+-[0-9]+", which.after):
                raise FieldsError([("after", "after must be a position; nothing was sent")])
            if not which.after.startswith("1-"):
                said = "after is a cursor from before the database was restored; nothing was sent; go on after 1-5"
                raise CursorGoneError("feed_of_other_generation", said, "1-5")
            return len({one.event_id for one in own})
        assert which.failed_since is not None
        until = which.failed_until or self.clock()
        return len({one.event_id for one in own if one.error and which.failed_since <= one.at < until})

    async def attempts(self, owner: ClientId | None, wanted: AttemptsWanted, at_most: int) -> Sequence[Attempt]:
        if wanted.endpoint_id is not None:
            self._found(wanted.endpoint_id, owner)
        fitting = [
            one
            for one in reversed(self.log)
            if wanted.endpoint_id in {None, one.endpoint_id}
            and wanted.order in {None, one.order}
            and wanted.kind in {None, one.kind}
            and wanted.outcome in {None, one.outcome}
            and wanted.event_id in {None, one.event_id}
            and (wanted.before is None or one.number < wanted.before)
        ]
        return fitting[:at_most]

    def attempt(
        self, endpoint_id: EndpointId, event_id: str, kind: str, order: str | None, *, outcome: str | None = None
    ) -> Attempt:
        """Add an attempt to the log. It ends as the next of `answers` says."""
        error, status, answer = self.answers.pop(0) if self.answers else (None, 204, b"")
        made = Attempt(
            number=len(self.log) + 1,
            endpoint_id=endpoint_id,
            event_id=event_id,
            kind=kind,
            order=order,
            order_version=0 if order is None else 2,
            attempt=1 + sum(one.event_id == event_id for one in self.log),
            at=self.clock(),
            duration_ms=12,
            address="203.0.113.9",
            status=status,
            error=error,
            detail=None if error is None else f"it failed: {error}",
            answer=answer,
            outcome=outcome or ("delivered" if error is None else "failed"),
        )
        self.log.append(made)
        return made

    def _found(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        found = self.known.get(endpoint_id)
        if found is None or found.removed_at is not None or owner not in {None, found.owner}:
            raise NotFoundError(f"there is no endpoint {endpoint_id}")
        return found

    def _keep(self, endpoint: Endpoint) -> Endpoint:
        self.known[endpoint.id] = endpoint
        return endpoint

    def _with_secret(self, endpoint: Endpoint) -> EndpointSecrets:
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        public_key = f"whpk_{base64.b64encode(bytes(32)).decode()}" if endpoint.subscription.asymmetric else None
        return EndpointSecrets(endpoint=self._keep(endpoint), secret=secret, public_key=public_key)
