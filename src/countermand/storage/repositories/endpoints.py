"""Reads and writes endpoints, and the log of attempts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import delete, exists, func, insert, select, tuple_, update

from countermand.actions.delivering.ports import EventKey, LoggedAttempt, LogQuestion
from countermand.domain.client import ClientId, Permission
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import (
    Endpoint,
    EndpointId,
    EndpointNumber,
    EndpointState,
    Health,
    Subscription,
)
from countermand.domain.orders.order import OrderId, OrderUid
from countermand.storage.repositories.many_rows import ManyRows
from countermand.storage.repositories.rows import permissions_of, written
from countermand.storage.sql_types import Query, Row
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.clients import clients
from countermand.storage.tables.columns import instant, instant_or_none, micros, micros_or_none
from countermand.storage.tables.delivering import (
    deliveries,
    delivery_attempts,
    delivery_head,
    delivery_lanes,
    endpoints,
)
from countermand.storage.tables.orders import order_details, orders

# States of an endpoint that was removed: its deliveries are there, and are deleted.
REMOVED: Final = "removed"
FORGOTTEN: Final = "forgotten"
_IT: Final = endpoints.c
_KEPT: Final = _IT.removed_at.is_(None)


class EndpointRows(ManyRows):
    """Implements `EndpointReading`, and the writes to endpoints and to the log of attempts."""

    async def endpoints(self) -> Sequence[Endpoint]:
        """See `EndpointReading.endpoints`."""
        return [_endpoint(row) for row in await self.rows(_with_owners().order_by(_IT.number))]

    async def endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """See `EndpointReading.endpoint`."""
        row = await self._one(_with_owners().where(_IT.id == endpoint_id))
        return None if row is None else _endpoint(row)

    async def oldest_undelivered(self) -> datetime | None:
        """Return since when the oldest event waits for an endpoint, or None. Without endpoints, none waits."""
        row = await self._one(select(func.count().label("some")).select_from(endpoints).where(_KEPT))
        if row is None or not row["some"]:
            return None
        since = select(delivery_head.c.dispatch_from).scalar_subquery()
        new = select(func.min(outbox.c.recorded_at)).where(
            outbox.c.delivered_at.is_(None), outbox.c.recorded_at >= since
        )
        active = select(_IT.number).where(_KEPT, _IT.state == EndpointState.ACTIVE.value)
        waits = select(func.min(delivery_lanes.c.head_at)).where(delivery_lanes.c.endpoint.in_(active))
        (found,) = await self.rows(select(new.scalar_subquery().label("new"), waits.scalar_subquery().label("waits")))
        return instant_or_none(min((one for one in (found["new"], found["waits"]) if one is not None), default=None))

    async def backlogs(
        self, of: EndpointNumber | None = None
    ) -> Mapping[EndpointNumber, tuple[int, datetime | None, int]]:
        """See `EndpointReading.backlogs`."""
        lane, ended = delivery_lanes.c, deliveries.c
        waits = select(lane.endpoint, func.sum(lane.waiting).label("waiting"), func.min(lane.head_at).label("oldest"))
        lost = select(ended.endpoint, func.count().label("lost")).where(ended.state == "given_up")
        if of is not None:
            waits, lost = waits.where(lane.endpoint == of), lost.where(ended.endpoint == of)
        found = {row["endpoint"]: row for row in await self.rows(waits.group_by(lane.endpoint))}
        given_up = {row["endpoint"]: row["lost"] for row in await self.rows(lost.group_by(ended.endpoint))}
        return {
            EndpointNumber(number): (
                int(found[number]["waiting"]) if number in found else 0,
                instant_or_none(found[number]["oldest"]) if number in found else None,
                given_up.get(number, 0),
            )
            for number in found.keys() | given_up.keys()
        }

    async def order_names(self, order_ids: Sequence[OrderId]) -> Mapping[OrderId, tuple[ContractName, OrderUid | None]]:
        """See `EndpointReading.order_names`."""
        joined = select(orders.c.id, orders.c.contract, order_details.c.uid).join(
            order_details, order_details.c.order_id == orders.c.id
        )
        return {
            OrderId(row["id"]): (ContractName(row["contract"]), row["uid"])
            for row in await self.rows(joined.where(orders.c.id.in_(sorted(set(order_ids)))))
        }

    async def add_endpoint(self, endpoint: Endpoint) -> Endpoint:
        """See `EndpointWriting.add_endpoint`."""
        wanted = endpoint.subscription
        await self._execute(
            insert(endpoints).values(
                id=endpoint.id,
                url=endpoint.url,
                dialect=wanted.dialect,
                kinds=None if wanted.kinds is None else msgspec.json.encode(sorted(wanted.kinds)).decode(),
                contract=wanted.contract,
                client_id=wanted.client_id,
                thin=wanted.thin,
                structured=wanted.structured,
                asymmetric=wanted.asymmetric,
                owner_id=endpoint.owner,
                created_at=micros(endpoint.created_at),
                version=0,
                **_state_columns(endpoint),
                **_secret_columns(endpoint),
                **_health_columns(endpoint.health),
            )
        )
        added = await self.endpoint(endpoint.id)
        assert added is not None
        return added

    async def lock_endpoint(self, endpoint: EndpointNumber) -> Endpoint | None:
        """See `EndpointChange.lock_endpoint`."""
        row = await self._one(_with_owners().where(_IT.number == endpoint).with_for_update(of=endpoints))
        return None if row is None else _endpoint(row)

    async def write_health(self, endpoint: EndpointNumber, health: Health) -> None:
        """See `EndpointChange.write_health`."""
        await self._execute(update(endpoints).where(_IT.number == endpoint).values(_health_columns(health)))

    async def write_state(self, endpoint: Endpoint) -> None:
        """See `EndpointChange.write_state`."""
        await self._execute(update(endpoints).where(_IT.number == endpoint.number).values(_state_columns(endpoint)))

    async def has_removed_endpoints(self) -> bool:
        """Return whether there may be deliveries of removed endpoints."""
        (row,) = await self.rows(select(exists().where(endpoints.c.state == REMOVED).label("some")))
        return bool(row["some"])

    async def forget_removed(self, at_most: int) -> int:
        """See `EndpointWriting.forget_removed`."""
        gone = endpoints.c.state == REMOVED
        numbers = [row["number"] for row in await self.rows(select(endpoints.c.number).where(gone))]
        if not numbers:
            return 0
        forgotten = 0
        for table in (delivery_lanes, deliveries):
            key = list(table.primary_key.columns)
            some = select(*key).where(table.c.endpoint.in_(numbers)).limit(at_most)
            forgotten += await self.run(delete(table).where(tuple_(*key).in_(some)))
        if not forgotten:
            await self.run(update(endpoints).where(endpoints.c.number.in_(numbers)).values(state=FORGOTTEN))
        return forgotten

    async def write_secrets(self, endpoint: Endpoint) -> None:
        """See `EndpointWriting.write_secrets`."""
        await self._execute(update(endpoints).where(_IT.number == endpoint.number).values(_secret_columns(endpoint)))

    async def next_version(self, endpoint: EndpointNumber) -> int:
        """See `EndpointChange.next_version`."""
        counted = update(endpoints).where(_IT.number == endpoint).values(version=_IT.version + 1)
        (row,) = await self.rows(counted.returning(_IT.version))
        return int(row["version"])

    async def append_endpoint_event(
        self, endpoint: EndpointNumber, kind: str, details: Mapping[str, object], now: datetime
    ) -> None:
        """See `EndpointChange.append_endpoint_event`."""
        version = await self.next_version(endpoint)
        await self._execute(
            insert(outbox).values(
                order_id=-endpoint,
                order_version=version,
                kind=kind,
                recorded_at=micros(now),
                client_id=0,
                details=written(details),
            )
        )
        self.wrote_events = True

    async def log_attempts(self, attempts: Sequence[LoggedAttempt]) -> Sequence[int]:
        """See `AttemptWriting.log_attempts`."""
        rows = [
            {
                "endpoint": one.endpoint,
                "order_id": one.key.order_id,
                "order_version": one.key.order_version,
                "kind": one.key.kind,
                "event_id": one.event_id,
                "attempt": one.attempt,
                "at": micros(one.at),
                "duration_ms": one.duration_ms,
                "address": one.address,
                "status": one.status,
                "error": one.error,
                "detail": one.detail,
                "answer": one.answer,
                "outcome": one.outcome,
            }
            for one in attempts
        ]
        if len(rows) > 1:
            await self._insert_rows(delivery_attempts, rows)
            return []
        made = await self.rows(insert(delivery_attempts).values(rows[0]).returning(delivery_attempts.c.number))
        return [row["number"] for row in made]

    async def logged(self, wanted: LogQuestion, at_most: int) -> Sequence[LoggedAttempt]:
        """See `EndpointReading.logged`. Reads along the index of the order or of the endpoint."""
        it = delivery_attempts.c
        found = select(delivery_attempts).order_by(it.number.desc()).limit(at_most)
        if wanted.endpoints is not None:
            found = found.where(it.endpoint.in_(wanted.endpoints))
        for column, value in (
            (it.order_id, wanted.order_id),
            (it.kind, wanted.kind),
            (it.outcome, wanted.outcome),
            (it.event_id, wanted.event_id),
        ):
            if value is not None:
                found = found.where(column == value)
        if wanted.before is not None:
            found = found.where(it.number < wanted.before)
        return [_logged(row) for row in await self.rows(found)]

    async def failed_between(
        self, endpoint: EndpointNumber, since: datetime, until: datetime, after: int, at_most: int
    ) -> Sequence[tuple[int, EventKey]]:
        """See `EndpointWriting.failed_between`."""
        it = delivery_attempts.c
        found = (
            select(it.number, it.order_id, it.order_version, it.kind)
            .where(it.endpoint == endpoint, it.number > after, it.at >= micros(since), it.at < micros(until))
            .where(it.outcome != "delivered")
            .order_by(it.number)
            .limit(at_most)
        )
        return [(row["number"], _key(row)) for row in await self.rows(found)]


def _key(row: Row) -> EventKey:
    return EventKey(order_id=OrderId(row["order_id"]), order_version=row["order_version"], kind=row["kind"])


def _logged(row: Row) -> LoggedAttempt:
    return LoggedAttempt(
        number=row["number"],
        endpoint=EndpointNumber(row["endpoint"]),
        key=_key(row),
        event_id=row["event_id"],
        attempt=row["attempt"],
        at=instant(row["at"]),
        duration_ms=row["duration_ms"],
        address=row["address"],
        status=row["status"],
        error=row["error"],
        detail=row["detail"],
        answer=row["answer"] or b"",
        outcome=row["outcome"],
    )


def _state_columns(endpoint: Endpoint) -> dict[str, object]:
    return {
        "state": endpoint.state.value if endpoint.removed_at is None else REMOVED,
        "paused_at": micros_or_none(endpoint.paused_at),
        "paused_because": endpoint.paused_because,
        "removed_at": micros_or_none(endpoint.removed_at),
    }


def _secret_columns(endpoint: Endpoint) -> dict[str, object]:
    return {
        "secret": endpoint.secret,
        "previous_secret": endpoint.previous_secret,
        "previous_secret_until": micros_or_none(endpoint.previous_secret_until),
        "signing_key": endpoint.signing_key,
    }


def _health_columns(health: Health) -> dict[str, object]:
    return {
        "failures": health.failures,
        "failing_orders": health.failing_orders,
        "last_failed_order": health.last_failed_order,
        "first_failure_at": micros_or_none(health.first_failure_at),
        "last_success_at": micros_or_none(health.last_success_at),
        "not_before": micros_or_none(health.not_before),
        "failing_since": micros_or_none(health.failing_since),
    }


def _with_owners() -> Query:
    """Return the query for the endpoints that were not removed, with the permissions of their owners."""
    its = clients.c
    of_owner = its.revoked_at.label("owner_revoked_at"), its.permissions, its.more_permissions
    return select(endpoints, *of_owner).outerjoin(clients, its.id == _IT.owner_id).where(_KEPT)


def _may_subscribe(row: Row) -> bool:
    if row["owner_id"] is None:
        return True
    return row["owner_revoked_at"] is None and Permission.SUBSCRIBE in permissions_of(row)


def _endpoint(row: Row) -> Endpoint:
    kinds, contract, client_id, owner = row["kinds"], row["contract"], row["client_id"], row["owner_id"]
    return Endpoint(
        number=EndpointNumber(row["number"]),
        id=EndpointId(row["id"]),
        url=row["url"],
        subscription=Subscription(
            dialect=row["dialect"],
            kinds=None if kinds is None else frozenset(msgspec.json.decode(kinds, type=list[str])),
            contract=None if contract is None else ContractName(contract),
            client_id=None if client_id is None else ClientId(client_id),
            thin=row["thin"],
            structured=row["structured"],
            asymmetric=row["asymmetric"],
        ),
        owner=None if owner is None else ClientId(owner),
        is_permitted=_may_subscribe(row),
        created_at=instant(row["created_at"]),
        # A state of a newer version: nothing is sent, and everything is kept.
        state=EndpointState.ACTIVE if row["state"] == EndpointState.ACTIVE.value else EndpointState.PAUSED,
        health=Health(
            failures=row["failures"],
            failing_orders=row["failing_orders"],
            last_failed_order=row["last_failed_order"],
            first_failure_at=instant_or_none(row["first_failure_at"]),
            last_success_at=instant_or_none(row["last_success_at"]),
            not_before=instant_or_none(row["not_before"]),
            failing_since=instant_or_none(row["failing_since"]),
        ),
        secret=row["secret"],
        previous_secret=row["previous_secret"],
        previous_secret_until=instant_or_none(row["previous_secret_until"]),
        signing_key=row["signing_key"],
        paused_at=instant_or_none(row["paused_at"]),
        paused_because=row["paused_because"],
        removed_at=instant_or_none(row["removed_at"]),
    )
