"""The ids of orders in the operator's API: text that names the contract, so that no order is taken for another.

`connect-54` is the telecom order with the number 54; `shopping-` and 32 characters is a ticket order. A bare uid is an
id, too. A bare number is none, because the number on a buyer's receipt is not the number of a telecom order.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

from countermand.actions.errors import FieldsError, NotFoundError
from countermand.contracts.http.body import shown
from countermand.domain.contract import CONTRACT_NAME_PATTERN
from countermand.domain.orders.event_ids import id_text
from countermand.domain.orders.order import (
    LARGEST_ORDER_ID,
    UID_PATTERN,
    Order,
    OrderId,
    OrderUid,
    order_id_from,
    order_id_of,
)

_NUMBER: Final = "[1-9][0-9]{0,18}"
ORDER_ID_PATTERN: Final = f"^({CONTRACT_NAME_PATTERN}-({_NUMBER}|{UID_PATTERN})|{UID_PATTERN})$"
_ID: Final = re.compile(f"(?:(?P<contract>{CONTRACT_NAME_PATTERN})-)?(?P<name>{_NUMBER}|{UID_PATTERN})")
_UID: Final = re.compile(UID_PATTERN)
_DIGITS: Final = re.compile("[0-9]+")
_LONGEST_REFERENCE: Final = 255
_CANDIDATES: Final = 5  # shown at most
_FORM: Final = "an order's id names its contract, like connect-54"


class OrdersByName(Protocol):
    """Finds orders by what people call them."""

    async def order(self, order_id: OrderId) -> Order | None:
        """Return the order with this number, or None."""
        ...

    async def orders_with_reference(self, reference: str, at_most: int) -> Sequence[Order]:
        """Return the orders with this reference, which people read on their papers as the order's number."""
        ...


def order_id_text(order: Order) -> str:
    """Return the id of an order: its contract, and the uid of a ticket order or the number of a telecom order."""
    return id_text(order.contract, order.uid, order.id)


async def order_named(reading: OrdersByName, given: str, *, field: str = "id") -> Order:
    """Return the order with an id, or with a bare uid, which a field has.

    Raises `NotFoundError`. Raises `FieldsError` for a bare number, with the ids of the orders that it may mean.
    """
    match = _ID.fullmatch(given)
    is_uid = match is not None and _UID.fullmatch(match["name"]) is not None
    if not is_uid and _DIGITS.fullmatch(given):
        raise FieldsError([(field, f"{field} must {await _said_of_number(reading, given)}")])
    if match is None:
        raise NotFoundError(f"there is no order {shown(given)}; {_FORM}")
    name = match["name"]
    number = order_id_of(OrderUid(name)) if is_uid else order_id_from(name)
    order = None if number is None else await reading.order(number)
    # The number alone could be that of another contract's order.
    if order is None or given not in {order_id_text(order), order.uid}:
        raise NotFoundError(f"there is no order {given}")
    return order


async def _said_of_number(reading: OrdersByName, digits: str) -> str:
    """Return what an id must do, and what the number may mean."""
    candidates = await _candidates(reading, digits)
    number = digits if len(digits) <= len(str(LARGEST_ORDER_ID)) else shown(digits)
    if not candidates:
        return f"name the contract, like connect-54; {number} is no id, and no order has this number"
    return f"name the contract; {number} may be {' or '.join(candidates)}; give the right id"


async def _candidates(reading: OrdersByName, digits: str) -> Sequence[str]:
    """Return the ids of the orders that people call by this number: a telecom order, and ticket orders' references.

    Zeros at the front of the number make no difference.
    """
    number = order_id_from(digits.lstrip("0"))
    order = None if number is None else await reading.order(number)
    found = [] if order is None else [order]
    for reference in dict.fromkeys((digits, digits.lstrip("0"))):
        if 0 < len(reference) <= _LONGEST_REFERENCE:
            found += await reading.orders_with_reference(reference, _CANDIDATES)
    return list(dict.fromkeys(map(order_id_text, found)))
