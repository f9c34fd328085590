"""Reads what the rules of an order look at in the catalogue: all of it together, for the named items."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Select, literal_column, select, union

from countermand.actions.catalogue.ports import Offer
from countermand.domain.ticketing.catalogue import Part, ProductUid
from countermand.storage.repositories.catalogue import event_of, method_of, voucher_of, whole_product_of
from countermand.storage.sql_types import Column, Query, Row
from countermand.storage.tables.catalogue import events, methods, product_parts, products, vouchers

# No rule looks at these, and they are the largest: they have everything that is only shown.
_NO_DETAILS: Final[Column] = literal_column("'{}'").label("details")


class OfferNames(NamedTuple):
    """The names of what an offer has."""

    products: Sequence[str]
    vouchers: Sequence[str]
    methods: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferRows:
    """The rows of an offer, by table."""

    products: Sequence[Row]
    parts: Sequence[Row]
    events: Sequence[Row]
    vouchers: Sequence[Row]
    methods: Sequence[Row]

    def offer(self) -> Offer:
        """Return the offer."""
        parts: dict[str, list[Part]] = defaultdict(list)
        for row in self.parts:
            parts[row["combo_uid"]].append(Part(product_uid=ProductUid(row["part_uid"]), quantity=row["quantity"]))
        return Offer(
            products={row["uid"]: whole_product_of(row, tuple(parts.get(row["uid"], ()))) for row in self.products},
            events={row["uid"]: event_of(row) for row in self.events},
            vouchers={row["code"]: voucher_of(row) for row in self.vouchers},
            methods={row["uid"]: method_of(row) for row in self.methods},
        )


def offer_queries(
    product_uids: Select[str], voucher_codes: Select[str], method_uids: Select[str]
) -> Mapping[str, Query]:
    """The reads behind `OfferRows`, by field. Each argument selects the names, as one column."""
    of_named = select(product_parts.c.part_uid).where(product_parts.c.combo_uid.in_(product_uids))
    return {
        "products": select(*(one for one in products.c if one.name != "details"), _NO_DETAILS).where(
            products.c.uid.in_(union(product_uids, of_named))
        ),
        "parts": select(product_parts)
        .where(product_parts.c.combo_uid.in_(product_uids))
        .order_by(product_parts.c.combo_uid, product_parts.c.part_uid),
        "events": select(*(one for one in events.c if one.name != "details"), _NO_DETAILS).where(
            events.c.uid.in_(select(products.c.event_uid).where(products.c.uid.in_(product_uids)))
        ),
        "vouchers": select(vouchers).where(vouchers.c.code.in_(voucher_codes)),
        "methods": select(methods).where(methods.c.uid.in_(method_uids)),
    }
