"""Makes a catalogue for tests: events and products as an operator has them, written straight into the database."""

import secrets
from datetime import timedelta
from typing import Any

import httpx

from countermand.actions.catalogue.load import Catalogue, load_catalogue
from countermand.domain.money import Money
from countermand.domain.ticketing.catalogue import Event, EventUid, Product
from support.world import NOON, PUBLIC_URL, Caller, World

LANGUAGES = ("en", "nl", "de", "fr", "es", "pt", "tr", "ru")


def uid() -> str:
    return secrets.token_hex(16)


def an_event(**given: Any) -> Event:
    """An event that is on sale at noon."""
    made = {
        "uid": EventUid(uid()),
        "reference": "E1",
        "title": {"en": "Canal Days", "nl": "Grachtendagen"},
        "merchant_name": "Canal Foundation",
        "sale_starts_at": NOON - timedelta(days=1),
        "sale_ends_at": NOON + timedelta(days=30),
    }
    return Event(**(made | given))


def a_product(event: Event, **given: Any) -> Product:
    """A product of an event. `price` is in minor units."""
    stock = given.pop("stock", 100)
    currency = given.pop("currency", "EUR")
    made = {
        "uid": uid(),
        "event_uid": event.uid,
        "reference": "P1",
        "name": {"en": "Day ticket"},
        "price": Money(minor=given.pop("price", 1250), currency=currency),
        "service_costs": Money(minor=150, currency=currency),
        "availability": stock,
        "total_availability": stock,
    }
    return Product(**(made | given))


async def put(world: World, *items: Event | Product) -> None:
    events = [one for one in items if isinstance(one, Event)]
    products = [one for one in items if isinstance(one, Product)]
    async with world.database.store.transaction() as tx:
        await load_catalogue(tx, Catalogue(events=events, products=products))


async def get(world: World, caller: Caller, address: str) -> httpx.Response:
    return await world.http.get(address, headers={"Authorization": caller.basic})


async def listed(world: World, caller: Caller, address: str) -> list[str]:
    """The uids of a list, in its order; its shape is checked on the way."""
    answer = await get(world, caller, address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/hal+json"), answer.text
    shown = answer.json()
    (items,) = shown["_embedded"].values()
    assert shown["item_count"] >= len(items)
    return [one["uid"] for one in items]


def languages(**texts: str) -> dict[str, str]:
    return dict.fromkeys(LANGUAGES, "") | texts


CURIES = [{"name": "shop", "href": f"{PUBLIC_URL}/documentation/{{rel}}.html", "templated": True, "type": "text/html"}]


def profile(name: str) -> dict[str, str]:
    return {"href": f"{PUBLIC_URL}/documentation/{name}.html", "type": "text/html"}
