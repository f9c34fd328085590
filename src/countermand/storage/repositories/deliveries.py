"""Hands events of the outbox to endpoints, claims orders whose events are sent, and writes what became of them."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)

from countermand.actions.delivering.ports import ClaimedLane, Delivery, EventKey, LaneEnd, LaneKey, StoredEvent, lane_of
from countermand.domain.delivering.endpoint import PROBED_FROM, EndpointNumber, EndpointState
from countermand.domain.orders.order import OrderId
from countermand.storage.repositories.delivery_rows import (
    OF_ATTEMPTS,
    PENDING,
    attempt_of,
    delivery_of,
    event_of,
    named,
)
from countermand.storage.repositories.dispatch_statements import HEAD, OF_EVENT, OF_ORDERS, OWNERS, TAKE, waiting
from countermand.storage.repositories.many_rows import ManyRows
from countermand.storage.sql_types import Column, Row
from countermand.storage.tables.cancelling import outbox
from countermand.storage.tables.columns import instant, micros
from countermand.storage.tables.delivering import deliveries, delivery_head, delivery_lanes, endpoints

DELIVERED: Final = "delivered"
GIVEN_UP: Final = "given_up"
_IT: Final = deliveries.c
_LANE: Final = delivery_lanes.c
_SENDS: Final = and_(endpoints.c.removed_at.is_(None), endpoints.c.state == EndpointState.ACTIVE.value)


class DeliveryRows(ManyRows):
    """Implements `AttemptWriting`, but for what concerns endpoints."""

    async def lock_delivery_head(self) -> datetime:
        """See `DispatchWriting.lock_delivery_head`."""
        (row,) = await self._prepared(HEAD, {})
        return instant(row["dispatch_from"])

    async def write_dispatch_from(self, since: datetime) -> None:
        """See `DispatchWriting.write_dispatch_from`."""
        await self._execute(update(delivery_head).values(dispatch_from=micros(since)))

    async def take_undispatched(self, since: datetime, at_most: int, now: datetime) -> Sequence[StoredEvent]:
        """See `DispatchWriting.take_undispatched`.

        An earlier version of an order commits before a later one. So if the statement sees a version, then it sees and
        takes all before it, too.
        """
        rows = await self._prepared(TAKE, {"since": micros(since), "at_most": at_most, "now": micros(now)})
        owners = await self._owners_of([row["order_id"] for row in rows])
        return [event_of(row, owners.get(row["order_id"])) for row in rows]

    async def pass_over_undispatched(self, since: datetime, at_most: int, now: datetime) -> int:
        """See `DispatchWriting.pass_over_undispatched`."""
        key = outbox.c.order_id, outbox.c.order_version, outbox.c.kind
        some = select(*key).where(waiting(micros(since))).limit(at_most)
        return await self.run(update(outbox).where(tuple_(*key).in_(some)).values(delivered_at=micros(now)))

    async def add_deliveries(
        self,
        added: Sequence[Delivery],
        now: datetime,
        attempted: Sequence[Delivery] = (),
        until: datetime | None = None,
        lease: str | None = None,
    ) -> Collection[LaneKey]:
        """See `DispatchWriting.add_deliveries`."""
        leased = await self._add_to_lanes(added, now, {lane_of(one) for one in attempted}, until, lease)
        at_once = {(one.endpoint, one.key): one for one in attempted if lane_of(one) in leased}
        await self._add_rows([at_once.get((one.endpoint, one.key), one) for one in added])
        return leased

    async def wait_again(self, again: Sequence[Delivery]) -> int:
        """See `EndpointWriting.wait_again`."""
        if not again:
            return 0
        keys = [(one.key.order_id, one.endpoint, one.key.order_version, one.place, one.key.kind) for one in again]
        columns = list(deliveries.primary_key.columns)
        known = await self.rows(
            select(*columns, _IT.state).where(self._rows_among(columns, keys, by=2)).with_for_update()
        )
        states = {tuple(row[name] for name in _KEY): row["state"] for row in known}
        ended = [key for key, state in states.items() if state != PENDING]
        if ended:
            fresh = {"state": PENDING, "attempts": 0, "first_attempt_at": None, "ended_at": None}
            await self.run(update(deliveries).where(self._rows_among(columns, ended, by=2)).values(fresh))
        await self._add_rows([one for one, key in zip(again, keys, strict=True) if key not in states])
        waits = [one for one, key in zip(again, keys, strict=True) if states.get(key) != PENDING]
        await self._add_to_lanes(waits)
        return len(waits)

    async def given_up_again(self, endpoint: EndpointNumber, at_most: int) -> int:
        """See `EndpointWriting.given_up_again`."""
        lost = select(deliveries).where(_IT.endpoint == endpoint, _IT.state == GIVEN_UP).limit(at_most)
        return await self.wait_again([delivery_of(row) for row in await self.rows(lost)])

    async def undelivered_again(self, endpoint: EndpointNumber, keys: Sequence[EventKey]) -> int:
        """See `EndpointWriting.undelivered_again`."""
        columns = _IT.order_id, _IT.order_version, _IT.kind
        wanted = [(one.order_id, one.order_version, one.kind) for one in keys]
        its = self._rows_among(columns, wanted)
        found = select(deliveries).where(_IT.endpoint == endpoint, its, _IT.state != DELIVERED)
        rows = await self.rows(found)
        lost = [delivery_of(row) for row in rows if row["state"] == GIVEN_UP]
        if lost:
            await self.wait_again(lost)
        return len(rows)

    async def _add_rows(self, added: Sequence[Delivery]) -> None:
        if added:
            await self._insert_rows(
                deliveries,
                [
                    {
                        "endpoint": one.endpoint,
                        "order_id": one.key.order_id,
                        "order_version": one.key.order_version,
                        "place": one.place,
                        "kind": one.key.kind,
                        "digest": one.digest,
                        "recorded_at": micros(one.recorded_at),
                        "state": PENDING,
                        **attempt_of(one),
                    }
                    for one in added
                ],
                lambda made: made.on_conflict_do_nothing(),
            )

    async def _add_to_lanes(
        self,
        added: Sequence[Delivery],
        now: datetime | None = None,
        taken: Collection[LaneKey] = (),
        until: datetime | None = None,
        lease: str | None = None,
    ) -> Collection[LaneKey]:
        """Let deliveries wait in their lanes. A new lane is due at once, those with older events first.

        The clock of the node that recorded an event may be ahead of the database's: with `now`, no lane waits for that.
        Of the lanes that are `taken`, the new ones are leased, and returned.
        """
        counts: Counter[LaneKey] = Counter(lane_of(one) for one in added)
        if not counts:
            return ()
        heads: dict[LaneKey, int] = {}
        for one in added:
            lane, at = lane_of(one), micros(one.recorded_at)
            heads[lane] = min(at, heads.get(lane, at))
        latest = max(heads.values()) if now is None else micros(now)
        rows = await self._insert_rows(
            delivery_lanes,
            [
                {
                    "endpoint": lane[0],
                    "order_id": lane[1],
                    "waiting": counts[lane],
                    "next_at": micros(until) if until and lane in taken else min(head, latest),
                    "head_at": head,
                    "lease": lease if lane in taken else None,
                }
                for lane, head in sorted(heads.items())
            ],
            lambda made: made.on_conflict_do_update(
                index_elements=[_LANE.endpoint, _LANE.order_id],
                set_={"waiting": _LANE.waiting + made.excluded.waiting},
            ).returning(_LANE.endpoint, _LANE.order_id, _LANE.lease),
        )
        ours = [row for row in rows if lease is not None and row["lease"] == lease]
        return {(EndpointNumber(row["endpoint"]), OrderId(row["order_id"])) for row in ours}

    async def due_endpoints(self, now: datetime) -> Sequence[EndpointNumber]:
        """See `AttemptWriting.due_endpoints`."""
        due = exists().where(_LANE.endpoint == endpoints.c.number, _LANE.next_at <= micros(now))
        found = select(endpoints.c.number).where(_SENDS, _may_begin(now), or_(due, _probed() & _has_lanes()))
        return [EndpointNumber(row["number"]) for row in await self.rows(found)]

    async def claim_probe(self, endpoint: EndpointNumber, now: datetime, until: datetime) -> bool:
        """See `AttemptWriting.claim_probe`."""
        mine = update(endpoints).where(endpoints.c.number == endpoint, _SENDS, _may_begin(now), _probed())
        return await self.run(mine.values(not_before=micros(until))) > 0

    async def claim_lanes(
        self, endpoint: EndpointNumber, now: datetime, until: datetime, lease: str, at_most: int
    ) -> Sequence[ClaimedLane]:
        """See `AttemptWriting.claim_lanes`."""
        well = exists().where(endpoints.c.number == endpoint, _SENDS, _may_begin(now), ~_probed())
        due = select(_LANE.order_id, _LANE.lease).where(_LANE.endpoint == endpoint, _LANE.next_at <= micros(now), well)
        some = due.order_by(_LANE.next_at).limit(at_most).with_for_update(skip_locked=True, of=delivery_lanes)
        return await self._claimed(endpoint, await self.rows(some), until, lease)

    async def claim_for_probe(
        self, endpoint: EndpointNumber, now: datetime, until: datetime, lease: str, *, newest: bool
    ) -> Sequence[ClaimedLane]:
        """See `AttemptWriting.claim_for_probe`."""
        free = or_(_LANE.lease.is_(None), _LANE.next_at <= micros(now))
        lanes = select(_LANE.order_id, _LANE.lease).where(_LANE.endpoint == endpoint, free)
        at = (_LANE.head_at.desc(), _LANE.order_id.desc()) if newest else (_LANE.head_at, _LANE.order_id)
        one = lanes.order_by(*at).limit(1).with_for_update(skip_locked=True)
        return await self._claimed(endpoint, await self.rows(one), until, lease)

    async def _claimed(
        self, endpoint: EndpointNumber, rows: Sequence[Row], until: datetime, lease: str
    ) -> Sequence[ClaimedLane]:
        if not rows:
            return []
        held = {row["order_id"]: row["lease"] for row in rows}
        its = self._among(_LANE.order_id, sorted(held))
        mine = update(delivery_lanes).where(_LANE.endpoint == endpoint, its)
        taken = mine.values(next_at=micros(until), lease=lease).returning(_LANE.order_id, _LANE.waiting)
        return [
            ClaimedLane(
                order_id=OrderId(row["order_id"]),
                waiting=row["waiting"],
                was_cut_off=held[row["order_id"]] is not None,
            )
            for row in await self.rows(taken)
        ]

    async def deliveries_of(self, endpoint: EndpointNumber, of: Sequence[OrderId]) -> Sequence[Delivery]:
        """See `AttemptWriting.deliveries_of`."""
        rows = await self._prepared(OF_ORDERS, {"of_endpoint": endpoint, "ids": self._ids(of)})
        return [delivery_of(row) for row in rows]

    async def stored_events(self, keys: Sequence[EventKey]) -> Mapping[EventKey, StoredEvent]:
        """See `AttemptWriting.stored_events`."""
        if not keys:
            return {}
        named = [outbox.c.order_id, outbox.c.order_version, outbox.c.kind]
        it = self._rows_among(named, [(one.order_id, one.order_version, one.kind) for one in keys])
        rows = await self.rows(select(*OF_EVENT).where(it))
        owners = await self._owners_of([row["order_id"] for row in rows])
        found = [event_of(row, owners.get(row["order_id"])) for row in rows]
        return {one.key: one for one in found}

    async def note_attempts(self, tried: Sequence[Delivery]) -> None:
        """See `AttemptWriting.note_attempts`."""
        new = {name: _IT[name] for name in OF_ATTEMPTS}
        await self._for_each(
            lambda given: update(deliveries).where(_is_it(given)).values({name: given(f"new_{name}") for name in new}),
            [
                {
                    **named(one),
                    **{f"new_{name}": value for name, value in attempt_of(one).items()},
                }
                for one in tried
            ],
            _KEY_TYPES | {f"new_{name}": column for name, column in new.items()},
        )

    async def end_deliveries(self, ended: Sequence[Delivery], state: str, now: datetime) -> None:
        """See `AttemptWriting.end_deliveries`."""
        done = {"state": state, "ended_at": micros(now), "body": None, "headers": None}
        # Another node, which took the lane over, may have delivered it meanwhile.
        may_end = true() if state == DELIVERED else _IT.state == PENDING
        await self._for_each(
            lambda given: update(deliveries).where(_is_it(given), may_end).values(done),
            [named(one) for one in ended],
            _KEY_TYPES,
        )

    async def end_lanes(self, ends: Sequence[LaneEnd]) -> None:
        """See `AttemptWriting.end_lanes`."""
        in_order = sorted(ends, key=lambda one: (one.endpoint, one.order_id))
        rows = [
            {
                "its_endpoint": one.endpoint,
                "its_order": one.order_id,
                "its_lease": one.lease,
                "done": int(one.is_done),
                "new_next": micros(one.next_at),
                "new_head": micros(one.head_at),
            }
            for one in in_order
        ]
        emptied = await self._for_each(
            lambda given: delete(delivery_lanes).where(_is_lane(given), _LANE.waiting <= given("done")),
            [{name: row[name] for name in _ENDED_TYPES} for row in rows if row["done"]],
            _ENDED_TYPES,
        )
        if emptied == len(rows):
            return
        await self._for_each(
            lambda given: (
                update(delivery_lanes)
                .where(_is_lane(given))
                .values(
                    waiting=_LANE.waiting - given("done"),
                    next_at=given("new_next"),
                    head_at=case((given("done") == 1, given("new_head")), else_=_LANE.head_at),
                    lease=None,
                )
            ),
            rows,
            _LANE_TYPES,
        )

    async def renew_settled(self, keys: Sequence[EventKey], now: datetime) -> None:
        """See `AttemptWriting.renew_settled`."""
        columns = outbox.c.order_id, outbox.c.order_version, outbox.c.kind
        settled = self._rows_among(columns, [(one.order_id, one.order_version, one.kind) for one in keys])
        await self.run(update(outbox).where(settled).values(delivered_at=micros(now)))

    async def spread_lanes(
        self, endpoint: EndpointNumber, now: datetime, rate_per_s: float, orders: Sequence[OrderId] | None = None
    ) -> None:
        """See `AttemptWriting.spread_lanes`."""
        apart = max(1, int(1_000_000 / rate_per_s))
        place = func.row_number().over(order_by=(_LANE.head_at, _LANE.order_id)) - 1
        at = literal(micros(now), BigInteger) + place * literal(apart, BigInteger)
        free = select(_LANE.order_id, at.label("at")).where(_LANE.endpoint == endpoint, _LANE.lease.is_(None))
        lanes = (free if orders is None else free.where(_LANE.order_id.in_(orders))).subquery()
        # `lease` again: of a lane that is claimed meanwhile, PostgreSQL reads the new row here, not in the subquery.
        it = _LANE.endpoint == endpoint, _LANE.order_id == lanes.c.order_id, _LANE.lease.is_(None)
        await self.run(update(delivery_lanes).where(*it).values(next_at=lanes.c.at))

    async def _owners_of(self, order_ids: Sequence[int]) -> Mapping[int, Row]:
        real = sorted({one for one in order_ids if one > 0})
        if not real:
            return {}
        return {row["id"]: row for row in await self._prepared(OWNERS, {"ids": self._ids(real)})}

    def _ids(self, order_ids: Collection[int]) -> object:
        """Return the numbers of orders as the argument of a prepared statement."""
        return sorted(order_ids) if self._on_postgres else msgspec.json.encode(sorted(order_ids)).decode()


_KEY: Final = tuple(column.name for column in deliveries.primary_key.columns)
_KEY_TYPES: Final = {f"key_{name}": _IT[name] for name in _KEY}
_ENDED_TYPES: Final = {
    "its_endpoint": _LANE.endpoint,
    "its_order": _LANE.order_id,
    "its_lease": _LANE.lease,
    "done": _LANE.waiting,
}
_LANE_TYPES: Final = _ENDED_TYPES | {"new_next": _LANE.next_at, "new_head": _LANE.head_at}


def _is_lane(given: Callable[[str], Column]) -> ColumnElement[bool]:
    return and_(
        _LANE.endpoint == given("its_endpoint"),
        _LANE.order_id == given("its_order"),
        _LANE.lease == given("its_lease"),
    )


def _is_it(given: Callable[[str], Column]) -> ColumnElement[bool]:
    return and_(*(_IT[name] == given(f"key_{name}") for name in _KEY))


def _may_begin(now: datetime) -> ColumnElement[bool]:
    return or_(endpoints.c.not_before.is_(None), endpoints.c.not_before <= micros(now))


def _probed() -> ColumnElement[bool]:
    return endpoints.c.failing_orders >= PROBED_FROM


def _has_lanes() -> ColumnElement[bool]:
    return exists().where(_LANE.endpoint == endpoints.c.number)
