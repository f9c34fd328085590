# ruff: noqa: T201
"""A shop that reads and writes HAL with halogen, the ticketing vendor's own library: `… DEMO_JSON`.

It prints what it saw as JSON.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import halogen
import requests


class Money(NamedTuple):
    """The amount class that halogen is given."""

    currency: str
    amount: Decimal


class Href(halogen.Link):
    """A link that is read, too: halogen alone writes links."""

    def deserialize(self, value, **_):
        return value["_links"][self.key]["href"]


class Ticket(halogen.Schema):
    """A ticket of an order."""

    self = Href()
    uid = halogen.Attr()


class Line(halogen.Schema):
    """Tickets of one product."""

    product = halogen.Attr()
    quantity = halogen.Attr(halogen.types.Int())


class Order(halogen.Schema):
    """An order, as a shop reads it."""

    self = Href()
    uid = halogen.Attr()
    status = halogen.Attr(halogen.types.String())
    created_date = halogen.Attr(halogen.types.ISOUTCDateTime())
    grand_total = halogen.Attr(halogen.types.Amount({"EUR"}, Money))
    product_selection = halogen.Attr(halogen.types.List(Line))
    ticket = halogen.Embedded(halogen.types.List(Ticket), attr="shop:ticket")


class Cancellation(halogen.Schema):
    """The request to cancel an order."""

    order = halogen.Attr(halogen.types.String(), attr="uri")
    reason = halogen.Attr(halogen.types.String())


demo = json.loads(Path(sys.argv[1]).read_text())
given = demo["shopping"]
http = requests.Session()
http.auth = (given["key"], given["secret"])
address = given["orders"]["cancellable"][0]
order = Order.deserialize(http.get(address, timeout=60).json())
body = Cancellation.serialize({"uri": order["self"], "reason": "The buyer asked"})
cancelled = Order.deserialize(http.post(demo["base_url"] + "/ordercancellation/", json=body, timeout=60).json())
seen = {
    "order": order["uid"],
    "is itself": order["self"] == address,
    "statuses": [order["status"], cancelled["status"]],
    "currency": order["grand_total"].currency,
    "is positive": order["grand_total"].amount > 0,
    "tickets": len(order["ticket"]) == sum(line["quantity"] for line in order["product_selection"]),
    "year has an offset": order["created_date"].tzinfo is not None,
}
print(json.dumps(seen))
