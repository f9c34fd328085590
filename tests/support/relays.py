"""Nodes in the test's process, each with a database of its own to open, a clock of its own and a relay that runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from countermand.actions.delivering.sending import AttemptResult, Sending
from countermand.actions.ordering.place_service_orders import place_service_order
from countermand.actions.ordering.record_progress import advance_order
from countermand.bootstrap.clock import utc_now
from countermand.bootstrap.database import Database, open_database
from countermand.bootstrap.endpoints import endpoints_of, outside_of
from countermand.bootstrap.service import Service, build
from countermand.bootstrap.webhooks import webhooks_of
from countermand.delivery.secret_box import new_key
from countermand.domain.actor import Actor
from countermand.domain.delivering.endpoint import Subscription
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_details import ServiceOrderDetails
from countermand.domain.orders.order_state import Transition
from countermand.settings import Settings
from support.contracts import CONNECT
from support.receivers import Receiver
from support.world import PUBLIC_URL, Caller, World, running

_HANG_S = 60  # for what happens soon, or never
DETAILS = ServiceOrderDetails(location_id="LOC380100009114", plan_name="Home Fast 100/20")


def settings_of(world: World) -> Settings:
    """The settings of nodes that send events to this machine, on the database of a world, with a key of their own."""
    sends = {"deliveries": True, "webhook_secret_key": _secret(), "webhook_allow_loopback": True}
    return world.settings.model_copy(update=sends)


def _secret():
    return Settings.model_validate({"webhook_secret_key": new_key()}).webhook_secret_key


@dataclass
class RelayNode:
    """A node, and the ids of the events that it sent."""

    settings: Settings
    database: Database
    ahead: timedelta
    service: Service | None = None
    sent: Counter[str] = field(default_factory=Counter)

    def clock(self) -> datetime:
        return utc_now() + self.ahead

    async def place(self, me: Caller) -> OrderId:
        """Place an order, by this node's clock."""
        async with self.database.store.transaction() as tx:
            view = await place_service_order(tx, me.client.id, DETAILS, self.clock(), contract=CONNECT.name)
        return view.order.id

    async def advance(self, me: Caller, order_id: OrderId, move: Transition) -> None:
        """Advance an order, by this node's clock."""
        async with self.database.store.transaction() as tx:
            await advance_order(tx, Actor(me.client.id), order_id, move, self.clock())


@asynccontextmanager
async def a_relay_node(settings: Settings, ahead: timedelta = timedelta()) -> AsyncIterator[RelayNode]:
    """A node whose clock is ahead of the machine's, by which it does everything but what all nodes share."""
    database = await open_database(settings)
    node = RelayNode(settings, database, ahead)
    real = outside_of(webhooks_of(settings, PUBLIC_URL))

    async def send(sending: Sending) -> AttemptResult:
        node.sent[sending.event_id] += 1
        return await real.send(sending)

    node.service = build(
        settings,
        database,
        PUBLIC_URL,
        clock=node.clock,
        shared_clock=database.store.now,
        outside=replace(real, send=send),
    )
    try:
        async with running(node.service.application):
            yield node
    finally:
        await database.close()


async def add_endpoint(node: RelayNode, receiver: Receiver) -> str:
    """Let a receiver hear of what is written from now on; gives the endpoint's id."""
    async with endpoints_of(node.settings, node.database, PUBLIC_URL) as endpoints:
        return (await endpoints.add(receiver.url(), Subscription(), None)).endpoint.id


async def until_arrived(receiver: Receiver, number: int) -> None:
    """Return once so many requests have arrived."""
    async with asyncio.timeout(_HANG_S):
        while len(receiver.requests) < number:
            receiver.got_one.clear()
            await receiver.got_one.wait()


async def until_nothing_waits(world: World) -> None:
    """Return once all that was handed out is done with, and its attempts are written."""
    async with asyncio.timeout(_HANG_S):
        while await world.rows("delivery_lanes"):  # noqa: ASYNC110 - relays write, not this test
            await asyncio.sleep(0.02)
