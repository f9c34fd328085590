"""Joins what delivers events: storage, dialects, the rules about addresses, the sender, and the relay."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countermand.actions.delivering.attempts import Attempts
from countermand.actions.delivering.dispatch import Dispatch
from countermand.actions.delivering.endpoints import CheckUrl, EndpointAdministration
from countermand.actions.delivering.manage_endpoints import EndpointParts, Endpoints, SecretMaking
from countermand.actions.delivering.preparing import Preparing
from countermand.actions.delivering.sending import Send
from countermand.actions.delivering.subscriptions import Subscriptions
from countermand.actions.ordering.event_feed import EventFeed
from countermand.actions.ports import SharedClock
from countermand.bootstrap.api_modules import connect_of, shopping_of
from countermand.bootstrap.database import Database
from countermand.bootstrap.events_out import dialects_of, order_shower
from countermand.bootstrap.webhooks import webhooks_of
from countermand.contracts.http.contract import Deployment
from countermand.contracts.manage.event_messages import shown_details
from countermand.delivery.relay import NULL_DELIVERY_METRICS, DeliveryMetrics, Relay, RelayParts
from countermand.delivery.secret_making import BoxedSecrets
from countermand.delivery.steady_clock import SteadyClock
from countermand.domain.delivering.schedule import USUAL_SCHEDULE, Schedule
from countermand.settings import Settings

if TYPE_CHECKING:
    from countermand.bootstrap.webhooks import Webhooks


@dataclass(frozen=True, kw_only=True)
class Outside:
    """What delivery has of the world outside: the check of URLs, the sender, and the secrets that it signs with."""

    check_url: CheckUrl
    send: Send
    secrets: SecretMaking
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Delivering:
    """What delivers events. Close `outside` in the end."""

    endpoints: EndpointAdministration
    relay: Relay
    outside: Outside


def outside_of(webhooks: "Webhooks") -> Outside:
    """Return what really sends."""
    return Outside(
        check_url=webhooks.check_url,
        send=webhooks.send,
        secrets=BoxedSecrets(webhooks.box),
        close=webhooks.sender.close,
    )


def delivering_in(
    settings: Settings,
    database: Database,
    deployment: Deployment,
    shared_clock: SharedClock,
    metrics: DeliveryMetrics,
    cancelling: Callable[[], float],
    outside: Outside | None = None,
    schedule: Schedule = USUAL_SCHEDULE,
) -> Delivering:
    """Join what delivers the events of a database. `outside` is, by default, what really sends.

    `cancelling` returns how many cancellations are under way at a time, on average.
    """
    if shared_clock == database.store.now:
        shared_clock = SteadyClock(shared_clock)
    outside = outside or outside_of(webhooks_of(settings, deployment.public_url))
    dialects = dialects_of(database.contracts)
    preparing = Preparing(
        dialects,
        order_shower(database.contracts, deployment),
        source=deployment.public_url,
        show_details=shown_details,
    )
    dispatch = Dispatch(database.store, dialects, preparing, shared_clock)
    attempts = Attempts(database.store, preparing, shared_clock, schedule=schedule)
    relay = Relay(
        RelayParts(
            dispatch=dispatch,
            attempts=attempts,
            endpoints=database.store,
            send=outside.send,
            shared_clock=shared_clock,
            metrics=metrics,
            cancelling=cancelling,
        )
    )
    names = [contract.name for contract in database.contracts]
    endpoints = Endpoints(
        EndpointParts(
            store=database.store,
            dispatch=dispatch,
            preparing=preparing,
            subscriptions=Subscriptions(dialects=dialects, contracts=names, clients=database.clients),
            feed=EventFeed(database.store, shared_clock),
            send=outside.send,
            check_url=outside.check_url,
            secrets=outside.secrets,
            shared_clock=shared_clock,
            changed=relay.read_endpoints,
        )
    )
    return Delivering(endpoints=endpoints, relay=relay, outside=outside)


def deployment_of(settings: Settings, public_url: str) -> Deployment:
    """Return the terms of the contracts."""
    return Deployment(public_url=public_url, terms=(connect_of(settings), shopping_of(settings, public_url)))


@asynccontextmanager
async def endpoints_of(
    settings: Settings, database: Database, public_url: str
) -> AsyncIterator[EndpointAdministration]:
    """Give a command what manages the endpoints. `public_url` is the address of the service."""
    deployment = deployment_of(settings, public_url)
    made = delivering_in(settings, database, deployment, database.store.now, NULL_DELIVERY_METRICS, lambda: 0.0)
    try:
        yield made.endpoints
    finally:
        await made.outside.close()
