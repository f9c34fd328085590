"""Which addresses does the shopping contract speak of? All are built here, from what the operator configured."""

import re
from dataclasses import dataclass
from typing import Any, Final

from countermand.domain.orders.order import UID_PATTERN

_UID: Final = re.compile(UID_PATTERN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """`public` is the API's own address, `documentation` where profiles and curies lead; neither ends in a slash.

    `also` are other names of the API's address: a caller's addresses may begin with one, ours begin with `public`.
    `payment` and `etickets` have `{uid}` and `{token}` to fill in: they are pages of the operator's own.
    """

    public: str
    documentation: str
    payment: str
    etickets: str
    also: tuple[str, ...] = ()

    def order(self, uid: str) -> str:
        """The order's own address, which is its name in every request."""
        return f"{self.public}/orders/{uid}"

    def event(self, uid: str) -> str:
        """An event's."""
        return f"{self.public}/events/{uid}"

    def product(self, uid: str) -> str:
        """A product's."""
        return f"{self.public}/products/{uid}"

    def ticket(self, uid: str) -> str:
        """A ticket's."""
        return f"{self.public}/tickets/{uid}"

    def consumer(self, uid: str) -> str:
        """A consumer's."""
        return f"{self.public}/consumers/{uid}"

    def uid_of_order(self, uri: str) -> str | None:
        """The uid in an order's address, a trailing slash tolerated; else None (shopping decisions 8 and 23)."""
        return self._uid(uri, "orders")

    def uid_of_product(self, uri: str) -> str | None:
        """The uid in a product's address, such as its `self`, which may have a query; None for any other."""
        return self._uid(uri.partition("?")[0], "products")

    def uid_of_event(self, uri: str) -> str | None:
        """The uid in an event's address, such as its `self`, which may have a query; None for any other."""
        return self._uid(uri.partition("?")[0], "events")

    def uid_of_ticket(self, uri: str) -> str | None:
        """The uid in a ticket's address; None for any other."""
        return self._uid(uri, "tickets")

    def curies(self) -> list[dict[str, Any]]:
        """Where the names of links are explained."""
        href = f"{self.documentation}/{{rel}}.html"
        return [{"name": "shop", "href": href, "templated": True, "type": "text/html"}]

    def profile(self, page: str) -> dict[str, Any]:
        """The page that explains a resource."""
        return {"href": f"{self.documentation}/{page}.html", "type": "text/html"}

    def _uid(self, uri: str, resource: str) -> str | None:
        for address in (self.public, *self.also):
            before = f"{address}/{resource}/"
            uid = uri.removeprefix(before).removesuffix("/")
            if uri.startswith(before) and _UID.fullmatch(uid):
                return uid
        return None
