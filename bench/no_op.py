"""Serves Countermand without its store: a cancellation is answered 200 as soon as it is understood.

The rest is the best rate that any store could reach: HTTP, the credentials, the contract's checks, and the answer. The
server is `countermand serve` itself, with its server settings; only `submit` of `CancelAndShow` is replaced. If an
answer shows the order, it shows the first order that was requested, which is read once. This file is in bench/ and not
in the product, because it answers 200 and does nothing.
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
    # The instance's attribute hides the class's method for every user of the object.
    vars(service.cancel)["submit"] = _at_once(service.database)
    return service


def main() -> None:
    """Serve until a signal comes, as `countermand serve` does, with settings from the environment."""
    with patch.object(serving, "build", _build_without_store):
        serving.serve(read_settings(), announce=lambda url: print(f"Countermand is ready at {url}", flush=True))


if __name__ == "__main__":
    main()
