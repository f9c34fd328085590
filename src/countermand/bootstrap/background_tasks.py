"""Starts the background tasks that fill what older versions left empty, and those that follow the shared clock."""

import asyncio
from collections.abc import Callable
from functools import partial

from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ports import SharedClock
from countermand.background.client_uses import write_uses
from countermand.background.endpoints import forget_removed_endpoints
from countermand.background.event_feed import number_events
from countermand.background.expiry import expire_unpaid
from countermand.background.refunds import mark_refunded
from countermand.background.refusal_codes import fill_codes
from countermand.background.retention import forget_old
from countermand.background.rounds import started
from countermand.background.search import make_handles
from countermand.background.totals import fill_totals
from countermand.bootstrap.database import Database, retention_of
from countermand.identity.client_uses import ClientUses
from countermand.settings import Settings
from countermand.storage.store import SqlStore
from countermand.telemetry.assembly import Telemetry


def filling(
    store: SqlStore, archive: PolicyArchive, shared_clock: SharedClock, telemetry: Telemetry, stopping: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Start the tasks that fill what nodes of older versions left empty. Each says in the metrics when it is ready."""
    totals, codes, handles, refunds = (
        partial(telemetry.counts.step_unfinished, step) for step in ("totals", "codes", "handles", "refunds")
    )
    return [
        started(_totals_and_refunds(store, stopping, totals, refunds), name="empty totals, refunded orders"),
        started(fill_codes(store, archive, stopping, codes), name="empty codes"),
        started(make_handles(store, shared_clock, stopping, handles), name="handles of orders"),
    ]


def by_the_shared_clock(
    settings: Settings,
    database: Database,
    shared_clock: SharedClock,
    uses: ClientUses,
    feed: EventFeed,
    stopping: asyncio.Event,
) -> list[asyncio.Task[None]]:
    """Start the tasks that every node repeats, by the clock of all nodes."""
    return [
        started(forget_old(database.store, shared_clock, retention_of(settings), stopping), name="old rows"),
        started(expire_unpaid(database.store, shared_clock, stopping), name="unpaid orders"),
        started(number_events(feed, stopping), name="positions of events"),
        started(forget_removed_endpoints(database.store, stopping), name="deliveries of removed endpoints"),
        started(write_uses(uses, database.clients, shared_clock, stopping), name="last uses of clients"),
    ]


async def _totals_and_refunds(
    store: SqlStore, stopping: asyncio.Event, totals: Callable[[bool], None], refunds: Callable[[bool], None]
) -> None:
    """Do one after the other, so that the start of a node takes no further connection. Both end when they are ready."""
    await fill_totals(store, stopping, totals)
    await mark_refunded(store, stopping, refunds)
