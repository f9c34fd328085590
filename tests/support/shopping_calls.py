"""Makes the calls of the shopping contract, as a shop does."""

from typing import Any

import httpx

from support.world import Caller, World

CANCEL = "/ordercancellation/"
REASON = "The buyer cannot come."


async def cancel(
    world: World, caller: Caller, order: Any, reason: Any = REASON, *, path: str = CANCEL, **headers: str
) -> httpx.Response:
    """Ask to cancel an order. `headers` has names with _ for -."""
    body = {"order": order, "reason": reason}
    return await world.http.post(path, json=body, headers=world.shopping_headers(caller, **headers))


async def availability(world: World, product: str) -> int:
    """What is left of a product."""
    (row,) = [row for row in await world.rows("products") if row["uid"] == product]
    return row["availability"]


def kind(answer: httpx.Response) -> tuple[int, str]:
    """An error's status and type; its shape is checked on the way."""
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()
    assert isinstance(error["message"], str)
    assert error["message"]
    return answer.status_code, error["type"]
