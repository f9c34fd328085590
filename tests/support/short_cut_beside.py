"""A service with the short cut beside the same service without it, in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from countermand.actions.cancelling.cancel_orders import Cancelled, NotCancelled
from countermand.actions.errors import (
    HeldError,
    IdempotencyKeyReusedError,
    NotFoundError,
    OutcomeUnknownError,
    UnavailableError,
)
from countermand.domain.orders.order import OrderId
from countermand.telemetry.requests import RouteReports
from countermand.web.http_protocol import HttpProtocol
from countermand.web.short_cut import ShortCutProtocol, TakenRequest
from support.in_memory import REQUEST_ID, Service, Wire, answered
from support.world import Caller, World, a_world

CONNECT, SHOPPING = b"/api/connect/orders/cancel", b"/ordercancellation/"
OUTCOMES: dict[int, Any] = {
    1: Cancelled(order_id=OrderId(1)),
    3: NotFoundError("there is no such order"),
    4: UnavailableError("the database is away"),
    5: OutcomeUnknownError("cut off"),
    6: HeldError("another transaction has it"),
    7: IdempotencyKeyReusedError(),
    8: RuntimeError("a bug"),
}
REFUSED = 2


@dataclass
class Both:
    """The same service with the short cut and without it, and whom it knows."""

    world: World
    short: Service
    plain: Service
    token: bytes
    shop: Caller
    stranger: Caller
    uri: str
    taken: list[TakenRequest]
    reported: list[tuple[object, ...]]

    async def alike(self, pieces: Sequence[bytes]) -> tuple[bytes, Sequence[str]]:
        """Have the conversation with both; return what both gave."""
        given, reports = [], []
        for service in (self.plain, self.short):
            self.reported.clear()
            given.append(await service.talk(pieces))
            reports.append(list(self.reported))
        assert given[1] == given[0]
        assert reports[1] == reports[0]
        return given[0]


@asynccontextmanager
async def both_ways(folder: Path) -> AsyncIterator[Both]:
    """A service whose batches are decided by the order's number, without a database: see `OUTCOMES`."""
    patch = pytest.MonkeyPatch()
    async with a_world(folder, client_refresh_s=60, log_level="error") as world:
        partner, shop, stranger = (
            await world.connect_client(),
            await world.shopping_client(),
            await world.shopping_client(),
        )
        order = await world.ticket_order(shop)
        refusal = await refused(world, partner)
        views = await world.database.cancellations.views([order.order.id])

        async def decide(batch: Sequence[Any]) -> list[Any]:
            await asyncio.sleep(0)
            outcomes = {**OUTCOMES, REFUSED: refusal, order.order.id: Cancelled(order_id=order.order.id)}
            return [outcomes.get(command.order_id, outcomes[3]) for command in batch]

        async def show(batch: Sequence[OrderId]) -> list[Any]:
            await asyncio.sleep(0)
            return [views.get(order_id, NotFoundError("none")) for order_id in batch]

        patch.setattr(world.service.cancel.commit, "run", decide)
        patch.setattr(world.service.cancel.read_back, "run", show)
        taken: list[TakenRequest] = []
        reported: list[tuple[object, ...]] = []
        real, begin = RouteReports.answered, TakenRequest.begin

        def noted(self: RouteReports, request_id: str, started_s: float, *what: Any) -> None:
            *about, scope = what
            reported.append((self._shown_as, *about, scope["client"], given_id(request_id)))
            real(self, request_id, started_s, *what)

        def counted(self: TakenRequest, *given: Any) -> None:
            taken.append(self)
            begin(self, *given)

        patch.setattr(RouteReports, "answered", noted)
        patch.setattr(TakenRequest, "begin", counted)
        made = Both(
            world,
            Service(world, world.service.protocol),
            Service(world, HttpProtocol),
            b"Bearer " + world.token(partner).encode(),
            shop,
            stranger,
            world.uri(order),
            taken,
            reported,
        )
        for warm in (post(made), post(made, shopping=True)):  # the clients are known from now on
            await made.plain.talk([warm])
        yield made
    patch.undo()


def given_id(request_id: str) -> str | None:
    return request_id if request_id.startswith("mine") else None


async def refused(world: World, partner: Caller) -> NotCancelled:
    order_id = await world.service_order(partner)
    await world.cancel(partner, order_id)
    outcome = await world.cancel(partner, order_id)
    assert isinstance(outcome, NotCancelled)
    return outcome


def post(
    both: Both,
    *fields: bytes,
    shopping: bool = False,
    body: bytes | None = None,
    order: int = 1,
    path: bytes | None = None,
    version: bytes = b"1.1",
    length: bool = True,
    authorization: bytes | None = None,
) -> bytes:
    """A cancellation as bytes."""
    if body is None:
        body = b'{"orderId":%d}' % order
        if shopping:
            body = json.dumps({"order": both.uri, "reason": "The visitor cannot come"}).encode()
    if authorization is None:
        authorization = both.shop.basic.encode() if shopping else both.token
    path = path or (SHOPPING if shopping else CONNECT)
    lines = [b"Host: x", b"Authorization: " + authorization, b"Content-Type: application/json", b"X-API-VERSION: 7"]
    lines += fields
    lines += [b"Content-Length: %d" % len(body)] if length else []
    return b"POST %b HTTP/%b\r\n%b\r\n\r\n%b" % (path, version, b"\r\n".join(lines), body)


async def said(protocol: HttpProtocol, wire: Wire) -> None:
    """Wait until everything is answered and written."""
    async with asyncio.timeout(20):
        await answered(protocol)
        while not wire.written:  # noqa: ASYNC110 - the server's own code has no event for a test
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)


def without_ids(wire: Wire) -> bytes:
    return REQUEST_ID.sub(b"ID", bytes(wire.written))


def as_if_read_long_ago(both: Both) -> None:
    """The clients have to be read again."""
    protocol, _ = both.short.connected()
    assert isinstance(protocol, ShortCutProtocol)
    protocol._known_client.__self__._directory._refreshed_at = float("-inf")  # type: ignore[attr-defined]
