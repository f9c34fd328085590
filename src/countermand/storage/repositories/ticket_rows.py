"""Makes `TicketOrderRows` from what either database returns."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from countermand.actions.ordering.ticket_order_rows import LineRow, ProductRow, TicketOrderRows, TicketRow
from countermand.domain.orders.order_details import TicketOrderDetails
from countermand.domain.orders.order_kind import OrderKind
from countermand.domain.ticketing.catalogue import I18n
from countermand.storage.repositories.documents import decoded_details

# The columns that a row is made from, in the order of its fields.
LINE_COLUMNS: Final = LineRow.__struct_fields__
TICKET_COLUMNS: Final = TicketRow.__struct_fields__
PRODUCT_COLUMNS: Final = ProductRow.__struct_fields__
ORDER_COLUMNS: Final = TicketOrderRows.__struct_fields__[:-3]  # the others are lists of the rows above

_NAMES_CAP: Final = 4096  # products whose names are remembered
# A product's columns, as `PRODUCT_COLUMNS` names them; the name is JSON text.
ProductColumns = tuple[str, str, int, int, str, int, int]
# An order's columns, as `ORDER_COLUMNS` names them. SQLite returns a truth as a number, or as None.
OrderColumns = tuple[int, str, int, int, str, int | None, bool | int | None, int, str | None, str, str]


def ticket_order(
    columns: OrderColumns, lines: list[LineRow], tickets: list[TicketRow], products: Mapping[str, ProductRow | None]
) -> TicketOrderRows | None:
    """Return a ticket order with those of the `products`, by uid, that its lines name.

    Return None if the rows cannot say how the order looks: this version cannot read the document, or a product is
    missing. Then the order is read as a view.
    """
    order_id, contract, client_id, version, state, paid_at, is_refunded, created_at, uid, reference, text = columns
    details = decoded_details(OrderKind.TICKET, text)
    its_own = _of_lines(lines, products)
    if uid is None or its_own is None or not isinstance(details, TicketOrderDetails):
        return None
    return TicketOrderRows(
        order_id,
        contract,
        client_id,
        version,
        state,
        paid_at,
        bool(is_refunded),
        created_at,
        uid,
        reference,
        details,
        lines,
        tickets,
        its_own,
    )


def product(columns: ProductColumns) -> ProductRow | None:
    """Return a product from its columns, or None if its name cannot be read.

    A cancellation is committed before its order is shown, so nothing that cannot be shown may raise an error here.
    """
    uid, name, price_minor, service_costs_minor, currency, availability, total_availability = columns
    try:
        named = _named(name)
    except msgspec.DecodeError:
        return None
    return ProductRow(uid, named, price_minor, service_costs_minor, currency, availability, total_availability)


@lru_cache(maxsize=_NAMES_CAP)
def _named(text: str) -> I18n:
    name: I18n = msgspec.json.decode(text)
    return name


def _of_lines(lines: Sequence[LineRow], products: Mapping[str, ProductRow | None]) -> list[ProductRow] | None:
    found = {line.product_uid: products.get(line.product_uid) for line in lines}
    made = [product for product in found.values() if product is not None]
    return made if len(made) == len(found) else None
