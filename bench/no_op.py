"""Serve Countermand as it is, but for the store: a cancellation is answered 200 as soon as it has been understood.

What is left is the ceiling that a store can reach at best: HTTP, the credentials, the contract's checks, the answer. It
is `countermand serve` itself, its server settings included, with `submit` of `CancelAndShow` replaced. Where an answer
shows the order, it shows the first one that was asked for, read once. It lives here and is no part of the
product: it answers 200 and does nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import patch

from countermand import serving
from countermand.actions.cancelling.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.ports import CancelOrder, OrderView
from countermand.bootstrap.database import Database
from countermand.bootstrap.service import Service, build
from countermand.settings import read_settings


def _at_once(database: Database) -> Callable[[CancelOrder], Awaitable[CancelOutcome]]:
    shown: list[OrderView] = []

    async def submit(command: CancelOrder) -> CancelOutcome:
        if not command.wants_order:
            return Cancelled(order_id=command.order_id)
        if not shown:
            shown.extend((await database.cancellations.views([command.order_id])).values())
        return Cancelled(order_id=command.order_id, view=shown[0])

    return submit


def _build_without_store(*parts: Any, **more: Any) -> Service:
    service = build(*parts, **more)
    # The object's own attribute, found before its class's method by everybody who holds it.
    vars(service.cancel)["submit"] = _at_once(service.database)
    return service


def main() -> None:
    """Serve until told to stop, as `countermand serve` does: settings from the environment."""
    with patch.object(serving, "build", _build_without_store):
        serving.serve(read_settings(), announce=lambda url: print(f"Countermand is ready at {url}", flush=True))


if __name__ == "__main__":
    main()
