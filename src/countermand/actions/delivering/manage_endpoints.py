"""Implements `EndpointAdministration`: every change of an endpoint, and sending again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

from countermand.actions.delivering.attempts import CATCH_UP_PER_S, append_endpoint_event
from countermand.actions.delivering.dispatch import HANDED_OUT_AT_ONCE, OVERLAP, Dispatch
from countermand.actions.delivering.endpoints import (
    Attempt,
    AttemptsWanted,
    Backlog,
    CheckUrl,
    EndpointSecrets,
    Redelivery,
    new_endpoint_id,
)
from countermand.actions.delivering.ports import (
    EndpointReading,
    EndpointWriting,
    EventKey,
    LoggedAttempt,
    LogQuestion,
    OrderNames,
    StoredEvent,
)
from countermand.actions.delivering.preparing import Preparing, subject_of
from countermand.actions.delivering.redeliver import Redeliveries, order_id_in
from countermand.actions.delivering.sending import AttemptError, Send, Sending
from countermand.actions.delivering.subscriptions import Subscriptions
from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ports import SharedClock, Snapshots, Transactions
from countermand.domain.client import ClientId
from countermand.domain.delivering.endpoint import (
    Endpoint,
    EndpointEventKind,
    EndpointId,
    EndpointNumber,
    EndpointState,
    Health,
    Subscription,
)
from countermand.domain.known import known
from countermand.domain.orders.event_ids import event_digest, event_id, id_text
from countermand.domain.orders.order import OrderId

_AT_ONCE: Final = 500


class EndpointStore(Snapshots[EndpointWriting], Transactions[EndpointWriting], Protocol):
    """The database, as the administration of endpoints needs it."""


class SecretMaking(Protocol):
    """Makes secrets. Raises `ConflictError` if this node has no key to encrypt them with."""

    def new_secret(self) -> tuple[str, bytes]:
        """Return a secret as it is shown, and encrypted."""
        ...

    def new_signing_key(self) -> tuple[str, bytes]:
        """Return a public key of ed25519 as it is shown, and the private key encrypted."""
        ...

    def public_key(self, signing_key: bytes) -> str:
        """Return the public key of an encrypted private key, as it is shown."""
        ...


@dataclass(frozen=True, kw_only=True)
class EndpointParts:
    """What the administration works with. `changed` lets this node's relay read the endpoints again."""

    store: EndpointStore
    dispatch: Dispatch
    preparing: Preparing
    subscriptions: Subscriptions
    feed: EventFeed
    send: Send
    check_url: CheckUrl
    secrets: SecretMaking
    shared_clock: SharedClock
    changed: Callable[[], Awaitable[None]]


class Endpoints:
    """Implements `EndpointAdministration`."""

    def __init__(self, parts: EndpointParts) -> None:
        self._parts = parts
        self._store = parts.store

    async def add(self, url: str, subscription: Subscription, owner: ClientId | None) -> EndpointSecrets:
        """See `EndpointAdministration.add`.

        Before the endpoint is there, everything that is committed is handed to the others, so that the new one hears
        only of what commits later.
        """
        subscription = await self._parts.subscriptions.checked(subscription, owner)
        await self._parts.check_url(url)
        shown, secret = self._parts.secrets.new_secret()
        public_key, signing_key = self._parts.secrets.new_signing_key() if subscription.asymmetric else (None, None)
        async with self._store.snapshot() as reading:
            are_there = bool(await reading.endpoints())
        await self._parts.dispatch.everything(with_endpoints=are_there)
        now = await self._parts.shared_clock()
        endpoint = Endpoint(
            number=EndpointNumber(0),
            id=new_endpoint_id(),
            url=url,
            subscription=subscription,
            owner=owner,
            created_at=now,
            state=EndpointState.ACTIVE,
            health=Health(),
            secret=secret,
            signing_key=signing_key,
        )
        async with self._store.transaction() as tx:
            since = await tx.lock_delivery_head()
            others = await tx.endpoints()
            if others:
                while await self._parts.dispatch.hand_out(tx, others, since, now) >= HANDED_OUT_AT_ONCE:
                    pass
            else:
                since = max(since, now - OVERLAP)
                await tx.write_dispatch_from(since)
                while await tx.pass_over_undispatched(since, HANDED_OUT_AT_ONCE, now) >= HANDED_OUT_AT_ONCE:
                    pass
            endpoint = await tx.add_endpoint(endpoint)
        await self._parts.changed()
        return EndpointSecrets(endpoint=endpoint, secret=shown, public_key=public_key)

    async def all(self, owner: ClientId | None) -> Sequence[Endpoint]:
        """See `EndpointAdministration.all`."""
        async with self._store.snapshot() as reading:
            return [one for one in await reading.endpoints() if owner in {None, one.owner}]

    async def one(self, endpoint_id: EndpointId, owner: ClientId | None) -> tuple[Endpoint, Backlog]:
        """See `EndpointAdministration.one`."""
        async with self._store.snapshot() as reading:
            endpoint = _owned(await reading.endpoint(endpoint_id), endpoint_id, owner)
            backlogs = await reading.backlogs(endpoint.number)
        undelivered, oldest_at, given_up = backlogs.get(endpoint.number, (0, None, 0))
        return endpoint, Backlog(undelivered=undelivered, oldest_at=oldest_at, given_up=given_up)

    async def pause(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        """See `EndpointAdministration.pause`."""
        now = await self._parts.shared_clock()
        async with self._store.transaction() as tx:
            endpoint = await _locked(tx, endpoint_id, owner)
            if endpoint.state is EndpointState.PAUSED:
                return endpoint
            why = "the operator paused it" if owner is None else "its owner paused it"
            endpoint = replace(endpoint, state=EndpointState.PAUSED, paused_at=now, paused_because=why)
            await tx.write_state(endpoint)
            told = {"reason": why, "since": endpoint.health.first_failure_at}
            await append_endpoint_event(tx, endpoint, EndpointEventKind.PAUSED, told, now)
        await self._parts.changed()
        return endpoint

    async def resume(self, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
        """See `EndpointAdministration.resume`."""
        now = await self._parts.shared_clock()
        async with self._store.transaction() as tx:
            endpoint = await _locked(tx, endpoint_id, owner)
            was_paused, paused_at = endpoint.state is EndpointState.PAUSED, endpoint.paused_at
            health = Health(last_success_at=endpoint.health.last_success_at)
            endpoint = replace(endpoint, state=EndpointState.ACTIVE, paused_at=None, paused_because=None, health=health)
            await tx.write_state(endpoint)
            await tx.write_health(endpoint.number, health)
            if was_paused:
                told = {"since": paused_at or now}
                await append_endpoint_event(tx, endpoint, EndpointEventKind.RESUMED, told, now)
        more = True
        while more:
            async with self._store.transaction() as tx:
                await tx.lock_delivery_head()
                await tx.lock_endpoint(endpoint.number)
                more = await tx.given_up_again(endpoint.number, _AT_ONCE) > 0
        async with self._store.transaction() as tx:
            await tx.lock_endpoint(endpoint.number)
            await tx.spread_lanes(endpoint.number, now, CATCH_UP_PER_S)
        await self._parts.changed()
        return endpoint

    async def remove(self, endpoint_id: EndpointId, owner: ClientId | None) -> None:
        """See `EndpointAdministration.remove`. A background task deletes the endpoint's deliveries."""
        now = await self._parts.shared_clock()
        async with self._store.transaction() as tx:
            await tx.lock_delivery_head()  # so that no event is being handed to it
            endpoint = await _locked(tx, endpoint_id, owner)
            await tx.write_state(replace(endpoint, removed_at=now))
            await tx.write_secrets(replace(endpoint, secret=b"", previous_secret=None, signing_key=None))
        await self._parts.changed()

    async def rotate(
        self, endpoint_id: EndpointId, owner: ClientId | None, overlap: timedelta, *, revoke_old_now: bool
    ) -> EndpointSecrets:
        """See `EndpointAdministration.rotate`."""
        now = await self._parts.shared_clock()
        shown, secret = self._parts.secrets.new_secret()
        async with self._store.transaction() as tx:
            endpoint = await _locked(tx, endpoint_id, owner)
            until = endpoint.previous_secret_until
            if not revoke_old_now and until is not None and until > now:
                raise ConflictError(
                    "overlap_running",
                    f"the secret was rotated already, and the one before it works until {until.isoformat()}; nothing "
                    "was changed; wait until then, or revoke the old secret now",
                )
            # Before the new secret is written: an error after that would lose it.
            key = None if endpoint.signing_key is None else self._parts.secrets.public_key(endpoint.signing_key)
            has_overlap = not revoke_old_now and overlap > timedelta(0)
            endpoint = replace(
                endpoint,
                secret=secret,
                previous_secret=endpoint.secret if has_overlap else None,
                previous_secret_until=now + overlap if has_overlap else None,
            )
            await tx.write_secrets(endpoint)
        await self._parts.changed()
        return EndpointSecrets(endpoint=endpoint, secret=shown, public_key=key)

    async def test(self, endpoint_id: EndpointId, owner: ClientId | None) -> Attempt:
        """See `EndpointAdministration.test`."""
        now = await self._parts.shared_clock()
        async with self._store.transaction() as tx:
            endpoint = await _locked(tx, endpoint_id, owner)
            version = await tx.next_version(endpoint.number)
        details = {"endpoint": endpoint.id, "url": endpoint.url}
        event = StoredEvent(
            key=EventKey(order_id=OrderId(-endpoint.number), order_version=version, kind=EndpointEventKind.TEST.value),
            recorded_at=now,
            details=details,
            digest=event_digest(int(now.timestamp() * 1_000_000), repr(details).encode()),
            contract=None,
            uid=None,
            client_id=None,
        )
        rendered = self._parts.preparing.render(endpoint, event, event.digest, None)
        sending = Sending(
            endpoint=endpoint,
            event_id=event_id(subject_of(endpoint, event), version, event.key.kind, event.digest),
            order_version=version,
            attempt=1,
            previous=None,
            body=rendered.body,
            content_type=rendered.content_type,
            headers=rendered.headers,
            now=now,
        )
        result = await self._parts.send(sending)
        row = LoggedAttempt(
            number=0,
            endpoint=endpoint.number,
            key=event.key,
            event_id=sending.event_id,
            attempt=1,
            at=now,
            duration_ms=result.duration_ms,
            address=result.address,
            status=result.status,
            error=None if result.error is None else result.error.value,
            detail=result.detail,
            answer=result.answer,
            outcome="delivered" if result.error is None else "failed",
        )
        async with self._store.transaction() as tx:
            (number,) = await tx.log_attempts([row])
        return _shown(replace(row, number=number), endpoint.id, None)

    async def redeliver(self, endpoint_id: EndpointId, owner: ClientId | None, which: Redelivery) -> int:
        """See `EndpointAdministration.redeliver`."""
        async with self._store.snapshot() as reading:
            endpoint = _owned(await reading.endpoint(endpoint_id), endpoint_id, owner)
        await self._parts.dispatch.everything(with_endpoints=True)
        again = Redeliveries(self._store, self._parts.dispatch, self._parts.feed, self._parts.shared_clock)
        count = await again.send(endpoint, which)
        await self._parts.changed()
        return count

    async def attempts(self, owner: ClientId | None, wanted: AttemptsWanted, at_most: int) -> Sequence[Attempt]:
        """See `EndpointAdministration.attempts`."""
        async with self._store.snapshot() as reading:
            endpoints = {one.number: one.id for one in await reading.endpoints() if owner in {None, one.owner}}
            if wanted.endpoint_id is not None:
                endpoint = _owned(await reading.endpoint(wanted.endpoint_id), wanted.endpoint_id, owner)
                endpoints = {endpoint.number: endpoint.id}
            order_id = None
            if wanted.order is not None and (order_id := await _order_named(reading, wanted.order)) is None:
                return []
            question = LogQuestion(
                endpoints=sorted(endpoints),
                order_id=order_id,
                kind=wanted.kind,
                outcome=wanted.outcome,
                event_id=wanted.event_id,
                before=wanted.before,
            )
            rows = await reading.logged(question, at_most)
            names = await reading.order_names([one.key.order_id for one in rows])
        return [_shown(one, endpoints[one.endpoint], _name(one, names)) for one in rows]


def _owned(endpoint: Endpoint | None, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
    if endpoint is None or owner not in {None, endpoint.owner}:
        raise NotFoundError(f"there is no endpoint {endpoint_id}")
    return endpoint


async def _locked(tx: EndpointWriting, endpoint_id: EndpointId, owner: ClientId | None) -> Endpoint:
    found = _owned(await tx.endpoint(endpoint_id), endpoint_id, owner)
    return _owned(await tx.lock_endpoint(found.number), endpoint_id, owner)


async def _order_named(reading: EndpointReading, given: str) -> OrderId | None:
    """Return the number of the order with an id. The number alone could be that of another contract's order."""
    order_id = order_id_in(given)
    found = None if order_id is None else (await reading.order_names([order_id])).get(order_id)
    if order_id is None or found is None:
        return None
    contract, uid = found
    return order_id if given in {id_text(contract, uid, order_id), uid} else None


def _name(row: LoggedAttempt, names: OrderNames) -> str | None:
    found = names.get(row.key.order_id)
    return None if found is None else id_text(found[0], found[1], row.key.order_id)


def _shown(row: LoggedAttempt, endpoint_id: EndpointId, order: str | None) -> Attempt:
    return Attempt(
        number=row.number,
        endpoint_id=endpoint_id,
        event_id=row.event_id,
        kind=row.key.kind,
        order=order,
        order_version=row.key.order_version,
        attempt=row.attempt,
        at=row.at,
        duration_ms=row.duration_ms,
        address=row.address,
        status=row.status,
        error=None if row.error is None else known(AttemptError, row.error),
        detail=row.detail,
        answer=row.answer,
        outcome=row.outcome,
    )
