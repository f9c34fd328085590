"""Makes the demo's catalogue: an event that is on sale, products of every kind, and methods to pay and to deliver."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from countermand.actions.catalogue.load import Catalogue, CatalogueTransaction, load_catalogue
from countermand.domain.money import Money
from countermand.domain.ticketing.catalogue import Event, EventUid, Method, Part, Product, ProductUid
from countermand.domain.ticketing.seating import SeatBlock

_LANGUAGES: Final = ("en", "nl", "de", "fr", "es", "pt", "tr", "ru")
_STOCK: Final = 10_000
_CURRENCY: Final = "EUR"


def uid_of(name: str) -> str:
    """Return a uid that is the same for every demo, because the things that it names are not secret."""
    return hashlib.sha256(f"countermand demo: {name}".encode()).hexdigest()[:32]


EVENT: Final = EventUid(uid_of("event"))
DAY_TICKET: Final = uid_of("day ticket")
LOCKER: Final = uid_of("locker")
IDEAL: Final = uid_of("ideal")
ETICKET: Final = uid_of("eticket")
SEATED: Final = uid_of("evening concert")
_SEATS: Final = [SeatBlock(section="Stalls", row=row, first=1, last=20) for row in "ABCDEFGHIJ"]
# The products in demo.json, by what a user can try with them.
PRODUCTS: Final[Mapping[str, str]] = {
    "paid": DAY_TICKET,
    "free": uid_of("try-out afternoon"),
    "sold_out": uid_of("backstage tour"),
    "combo": uid_of("day ticket with locker"),
}


async def prepare_catalogue(tx: CatalogueTransaction, now: datetime) -> None:
    """Make what is missing or has changed. The dates stay while the sale is on, and then move on."""
    known = await tx.event(EVENT)
    opened_at = known.sale_starts_at if known is not None and known.is_on_sale(now) else _midnight(now)
    seats = {SEATED: _SEATS}
    whole = Catalogue(events=[_event(opened_at)], products=_products(), methods=_methods(), seats=seats)
    await load_catalogue(tx, whole)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def _said(english: str, dutch: str = "") -> dict[str, str]:
    return dict.fromkeys(_LANGUAGES, "") | {"en": english, "nl": dutch}


def _euros(minor: int) -> Money:
    return Money(minor=minor, currency=_CURRENCY)


def _event(opened_at: datetime) -> Event:
    starts_at = opened_at + timedelta(days=90, hours=10)
    return Event(
        uid=EVENT,
        reference="CANAL-DAYS",
        title=_said("Canal Days", "Grachtendagen"),
        merchant_name="Canal Days Foundation",
        sale_starts_at=opened_at,
        sale_ends_at=starts_at,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=13),
        max_per_order=20,
        more={
            "subtitle": _said("A day of music on the water", "Een dag muziek op het water"),
            "description": _said("Four stages along the canals, from morning until midnight."),
            "location": {
                "name": "Canal Park",
                "address": "Kade 1",
                "postal_code": "9712 AB",
                "city": "Groningen",
                "country": "NL",
            },
            "facilities": {
                "lockers": True,
                "wheelchair access": True,
                "parking": _said("At the station", "Bij het station"),
            },
            "artists": [_said("The Lock Keepers", "De Sluiswachters"), _said("Low Bridge", "Low Bridge")],
            "genres": [{"name": _said("Folk", "Folk")}, {"name": _said("Jazz", "Jazz")}],
        },
    )


def _product(name: str, texts: dict[str, str], order: int, price_minor: int, **more: Any) -> Product:
    stock = more.pop("stock", _STOCK)
    given: dict[str, Any] = {
        "uid": uid_of(name),
        "event_uid": EVENT,
        "reference": name.upper().replace(" ", "-"),
        "name": texts,
        "price": _euros(price_minor),
        "service_costs": _euros(0),
        "availability": stock,
        "total_availability": stock,
        "viewing_order": order,
    }
    return Product(**(given | more))


def _products() -> list[Product]:
    both = tuple(Part(product_uid=ProductUid(uid), quantity=1) for uid in sorted([DAY_TICKET, LOCKER]))
    return [
        _product("day ticket", _said("Day ticket", "Dagkaart"), 1, 1250, service_costs=_euros(150), max_per_order=10),
        _product(
            "day ticket with locker", _said("Day ticket with locker"), 2, 1650, service_costs=_euros(150), parts=both
        ),
        _product("locker", _said("Locker", "Kluisje"), 3, 500),
        _product("try-out afternoon", _said("Try-out afternoon", "Proefmiddag"), 4, 0, max_per_order=4),
        _product(
            "backstage tour",
            _said("Backstage tour", "Rondleiding"),
            5,
            4500,
            stock=8,
            more={"sold_out_text": _said("All tours are taken.", "Alle rondleidingen zijn vol.")},
        ),
        _product(
            "evening concert",
            _said("Evening concert, numbered seats", "Avondconcert, genummerde plaatsen"),
            6,
            2500,
            service_costs=_euros(150),
            max_per_order=8,
            stock=sum(len(row) for row in _SEATS),
        ),
    ]


def _methods() -> list[Method]:
    contact = ("first_name", "last_name", "email")
    return [
        Method(
            uid=IDEAL,
            kind="payment",
            name=_said("iDeal"),
            image=None,
            costs=_euros(100),
        ),
        Method(
            uid=uid_of("bancontact"),
            kind="payment",
            name=_said("Bancontact"),
            image=None,
            costs=_euros(100),
            countries=("BE",),
            required_consumer_fields=contact,
        ),
        Method(uid=uid_of("credit card"), kind="payment", name=_said("Credit card"), image=None, costs=_euros(250)),
        Method(uid=ETICKET, kind="shipping", name=_said("Eticket"), image=None, costs=_euros(50)),
        Method(
            uid=uid_of("post"),
            kind="shipping",
            name=_said("By post", "Per post"),
            image=None,
            costs=_euros(395),
            countries=("NL", "BE", "DE"),
            required_consumer_fields=(*contact, "address", "postal_code", "city", "country"),
        ),
        Method(
            uid=uid_of("pick up"),
            kind="shipping",
            name=_said("Pick up", "Ophalen"),
            image=None,
            costs=_euros(0),
            pickup_location="The box office at Canal Park, from an hour before the start",
        ),
    ]
