"""Serves Countermand without its store: a cancellation is answered 200 as soon as it is understood.

The rest is the best rate that any store could reach: HTTP, the credentials, the contract's checks, and the answer. The
server is `countermand serve` itself, with its server settings; only `submit` of `CancelAndShow` is replaced. If an
answer shows the order, it shows the first order that was requested, which is read once. This file is in bench/ and not
in the product, because it answers 200 and does nothing.
"""

import asyncio
from typing import Any
from unittest.mock import patch

from countermand import serving
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.cancelling.group_commit import Waiter
from countermand.actions.cancelling.ports import CancelOrder
from countermand.actions.cancelling.read_back import CancelAndShow
from countermand.actions.ordering.ticket_order_rows import TicketOrderRows
from countermand.actions.ordering.views import OrderView
from countermand.bootstrap.database import Database
from countermand.bootstrap.service import Service, build
from countermand.settings import Settings, read_settings


def answer_later(answer: Waiter[CancelOutcome], outcome: CancelOutcome) -> None:
    """Tell an outcome in the next turn of the event loop: never within the parser, as the product."""
    asyncio.get_running_loop().call_soon(answer.set_result, outcome)


class _AtOnce:
    """The ways into the batches, without batches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._shown: list[OrderView | TicketOrderRows] = []

    def enqueue(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        answer_later(answer, Cancelled(order_id=command.order_id))

    def enqueue_and_show(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        if self._shown:
            answer_later(answer, Cancelled(order_id=command.order_id, shown=self._shown[0]))
        else:
            self._first = asyncio.create_task(self._show_first(command, answer))

    async def _show_first(self, command: CancelOrder, answer: Waiter[CancelOutcome]) -> None:
        answer.set_result(await self.submit_and_show(command))

    async def submit(self, command: CancelOrder) -> CancelOutcome:
        return Cancelled(order_id=command.order_id)

    async def submit_and_show(self, command: CancelOrder) -> CancelOutcome:
        if not self._shown:
            self._shown.extend((await self._database.cancellations.views([command.order_id])).values())
        return Cancelled(order_id=command.order_id, shown=self._shown[0])


def _build_without_store(settings: Settings, database: Database, *parts: Any, **more: Any) -> Service:
    at_once = _AtOnce(database)
    # The service takes these ways, bound, when it is built.
    ways = ("submit", "submit_and_show", "enqueue", "enqueue_and_show")
    with patch.multiple(CancelAndShow, **{name: getattr(at_once, name) for name in ways}):
        return build(settings, database, *parts, **more)


def main() -> None:
    """Serve until a signal comes, as `countermand serve` does, with settings from the environment."""
    with patch.object(serving, "build", _build_without_store):
        serving.serve(read_settings(), announce=lambda url: print(f"Countermand is ready at {url}", flush=True))


if __name__ == "__main__":
    main()
