"""Lets the metrics ask what waits: cancellations, order events, deliveries, and tasks about appointments."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from countermand.actions.cancelling.read_back import CancelAndShow
from countermand.actions.errors import UnavailableError, UnforeseenDatabaseError
from countermand.actions.ports import Clock
from countermand.background.clock import ClockCheck
from countermand.domain.delivering.endpoint import Endpoint, EndpointState
from countermand.storage.repositories.transaction import SqlTransaction
from countermand.storage.store import SqlStore
from countermand.telemetry.assembly import Telemetry
from countermand.telemetry.deliveries import EndpointGauge
from countermand.telemetry.single_flight import SingleFlightProbe

PROBE_LIMIT_S: Final = 1.5  # so that `/readyz` and `/metrics` answer within two seconds


def say_what_waits(
    telemetry: Telemetry, cancelling: CancelAndShow, store: SqlStore, clock_check: ClockCheck, clock: Clock
) -> None:
    """Give the metrics what they ask at a scrape."""

    async def oldest(ask: Callable[[SqlTransaction], Awaitable[datetime | None]]) -> datetime | None:
        try:
            async with store.snapshot() as reading:
                return await ask(reading)
        except UnforeseenDatabaseError as error:  # a table is missing, for example: the rest of the scrape must succeed
            raise UnavailableError("what waits cannot be read") from error

    async def endpoints() -> Mapping[str, EndpointGauge]:
        try:
            async with store.snapshot() as reading:
                found, backlogs = await reading.endpoints(), await reading.backlogs()
        except UnforeseenDatabaseError as error:
            raise UnavailableError("what waits cannot be read") from error
        return {one.id: _gauge(one, *backlogs.get(one.number, (0, None, 0))) for one in found}

    telemetry.counts.ask(
        queue_depth=lambda: cancelling.waiting,
        oldest_undelivered=SingleFlightProbe(lambda: oldest(SqlTransaction.oldest_undelivered), limit_s=PROBE_LIMIT_S),
        oldest_task=SingleFlightProbe(lambda: oldest(SqlTransaction.oldest_pending_task), limit_s=PROBE_LIMIT_S),
        endpoints=SingleFlightProbe(endpoints, limit_s=PROBE_LIMIT_S),
        clock_ahead_s=lambda: clock_check.ahead_s,
        now=clock,
    )


def _gauge(endpoint: Endpoint, undelivered: int, oldest_at: datetime | None, given_up: int) -> EndpointGauge:
    is_paused = endpoint.state is EndpointState.PAUSED
    return EndpointGauge(undelivered=undelivered, oldest_at=oldest_at, given_up=given_up, is_paused=is_paused)
