"""Chooses which commands of a batch enter its statement, and lists their idempotency keys."""

from collections.abc import Sequence

from countermand.actions.cancelling.ports import CancelOrder, OwnedKey
from countermand.domain.client import ClientId
from countermand.domain.orders.order import OrderId


def first_of_each(batch: Sequence[CancelOrder]) -> list[CancelOrder]:
    """Return the commands that enter the statement: for each order, the first of each client; for each key, the first.

    The first of each *client*, so that a stranger's attempts on an order never block its owner. An operator's command
    on behalf matches any order. So if there is one, it enters alone, because no two commands of a statement may match
    one row.
    """
    led_by_operator = {command.order_id for command in batch if command.on_behalf}
    taken: set[tuple[OrderId, ClientId | None]] = set()
    keys: set[OwnedKey] = set()
    first = []
    for command in batch:
        if command.order_id in led_by_operator and not command.on_behalf:
            continue
        place = (command.order_id, None if command.on_behalf else command.client_id)
        key = command.kept_under
        if place in taken or key in keys:
            continue
        taken.add(place)
        if key is not None:
            keys.add(key)
        first.append(command)
    return first


def keys_of(commands: Sequence[CancelOrder]) -> list[OwnedKey]:
    """Return the keys of all commands that have one."""
    return [key for command in commands if (key := command.kept_under) is not None]
