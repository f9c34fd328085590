"""Which addresses does the shopping contract use? All of them are built here, from the operator's settings."""

import re
from dataclasses import dataclass
from typing import Final

from countermand.contracts.shopping.links import Link
from countermand.domain.orders.order import UID_PATTERN

_UID: Final = re.compile(UID_PATTERN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """`public` is the API's own address; profiles and curies lead to `documentation`. Neither ends in a slash.

    `also` are other names of the API's address: a caller's addresses may begin with one, ours begin with `public`.
    `payment` and `etickets` are addresses of the operator's own pages, with `{uid}` and `{token}` to fill in.
    """

    public: str
    documentation: str
    payment: str
    etickets: str
    also: tuple[str, ...] = ()

    def order(self, uid: str) -> str:
        """Return the order's address, which is its name in every request."""
        return f"{self.public}/orders/{uid}"

    def event(self, uid: str) -> str:
        """Return an event's address."""
        return f"{self.public}/events/{uid}"

    def product(self, uid: str) -> str:
        """Return a product's address."""
        return f"{self.public}/products/{uid}"

    def ticket(self, uid: str) -> str:
        """Return a ticket's address."""
        return f"{self.public}/tickets/{uid}"

    def consumer(self, uid: str) -> str:
        """Return a consumer's address."""
        return f"{self.public}/consumers/{uid}"

    def uid_of_order(self, uri: str) -> str | None:
        """Return the uid in an order's address, which may end in a slash; else None (shopping decisions 8 and 23)."""
        return self._uid(uri, "orders")

    def uid_of_product(self, uri: str) -> str | None:
        """Return the uid in a product's address, such as its `self`, which may have a query; else None."""
        return self._uid(uri.partition("?")[0], "products")

    def uid_of_event(self, uri: str) -> str | None:
        """Return the uid in an event's address, such as its `self`, which may have a query; else None."""
        return self._uid(uri.partition("?")[0], "events")

    def uid_of_ticket(self, uri: str) -> str | None:
        """Return the uid in a ticket's address; else None."""
        return self._uid(uri, "tickets")

    def curies(self) -> list[Link]:
        """Return the link template that leads to the link-relation pages."""
        href = f"{self.documentation}/{{rel}}.html"
        return [{"name": "shop", "href": href, "templated": True, "type": "text/html"}]

    def profile(self, page: str) -> Link:
        """Return the link to the page that explains a resource."""
        return {"href": f"{self.documentation}/{page}.html", "type": "text/html"}

    def _uid(self, uri: str, resource: str) -> str | None:
        for address in (self.public, *self.also):
            before = f"{address}/{resource}/"
            uid = uri.removeprefix(before).removesuffix("/")
            if uri.startswith(before) and _UID.fullmatch(uid):
                return uid
        return None
