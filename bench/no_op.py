"""Serve Countermand as it is, but for the store: a cancellation is answered 200 as soon as it has been understood.

What is left is the ceiling that a store can reach at best: HTTP, the token, the contract's checks, the answer. It is
`countermand serve` itself, its server settings included, with `submit` of the one group commit replaced. It lives here
and is no part of the product: it answers 200 and does nothing.
"""

from typing import Any
from unittest.mock import patch

from countermand import serving
from countermand.actions.cancel_orders import Cancelled, CancelOutcome
from countermand.actions.ports import CancelOrder
from countermand.bootstrap import Service, build
from countermand.settings import read_settings


async def _cancelled_at_once(command: CancelOrder) -> CancelOutcome:
    return Cancelled(order_id=command.order_id)


def _build_without_store(*parts: Any, **more: Any) -> Service:
    service = build(*parts, **more)
    # The commit's own attribute, found before its class's method by everybody who holds it.
    vars(service.commit)["submit"] = _cancelled_at_once
    return service


def main() -> None:
    """Serve until told to stop, as `countermand serve` does: settings from the environment."""
    with patch.object(serving, "build", _build_without_store):
        serving.serve(read_settings(), announce=lambda url: print(f"Countermand is ready at {url}", flush=True))


if __name__ == "__main__":
    main()
