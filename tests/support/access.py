"""Makes one client of every kind, and one object of every kind that belongs to the first client of its contract."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from countermand.actions.identity.secrets import hash_of
from countermand.actions.identity.staff import STAFF_TOKEN
from countermand.domain.client import Permission
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import Subscription
from countermand.domain.staff import Role
from countermand.identity.browser_tokens import browser_token
from support.appointments import ASK, BOOK, CALL_OFF, asked, slot
from support.fairground.calls import RIDES
from support.fairground.contract import CHANNEL as FAIRGROUND
from support.ticket_shop import Shop, a_shop
from support.world import EVERYTHING, EVERYTHING_OF_ITS_OWN, Caller, World

Headers = dict[str, str]
SLOT = "one"


@dataclass(frozen=True, kw_only=True)
class Things:
    """What the calls name. Names with `of` say which call uses the object up."""

    numbers: dict[str, int]
    uids: dict[str, str]
    etickets: str
    order_token: str
    client_to_rotate: int
    client_to_revoke: int
    staff_token: str
    method: str
    code: str
    endpoints: dict[str, str]


async def callers_and_things(world: World) -> tuple[dict[str, Headers], Things]:
    """The headers of every kind of caller by what it is called, and the objects of the callers A."""
    partner, other_partner = await world.connect_client("a"), await world.connect_client("b")
    shop, other_shop = await a_shop(world), await world.shopping_client()
    operator = await world.manage_client()
    showman = await world.client_with_secret(FAIRGROUND, EVERYTHING)
    things = await _things(world, partner, shop, showman)
    now_s = int(world.clock().timestamp())
    expired = world.token(partner, iat=now_s - 7200, exp=now_s - 3600)
    in_browser = browser_token(
        replace(shop.caller.client),
        hash_of(shop.caller.secret),
        event_uid=None,
        now=world.clock(),
        life=timedelta(days=1),
    )
    nothing = frozenset[Permission]()
    return {
        "nothing": _common(),
        "garbage": _common("Bearer x"),
        "a wrong secret": world.shopping_headers(replace(shop.caller, secret="x" * 43)),
        "an expired token": _common(f"Bearer {expired}"),
        "a token of nobody": _common(f"Bearer {world.token('nobody')}"),
        "partner A": world.connect_headers(partner),
        "partner B": world.connect_headers(other_partner),
        "a partner without permissions": world.connect_headers(await world.connect_client("c", permissions=nothing)),
        "shop A": world.shopping_headers(shop.caller),
        "shop B": world.shopping_headers(other_shop),
        "a shop that sees all": world.shopping_headers(await world.shopping_client(permissions=EVERYTHING)),
        "a shop without permissions": world.shopping_headers(await world.shopping_client(permissions=nothing)),
        "browser of A": _common(f"Bearer {in_browser}"),
        "token of A's order": _common() | {"Order-Token": things.order_token},
        "operator": world.manage_headers(operator),
        "operator that reads": world.manage_headers(
            await world.manage_client(permissions=frozenset({Permission.READ}))
        ),
        "showman A": world.shopping_headers(showman),
        "showman B": world.shopping_headers(await world.client_with_secret(FAIRGROUND, EVERYTHING_OF_ITS_OWN)),
    }, things


def _common(authorization: str | None = None) -> Headers:
    headers = {"Content-Type": "application/json", "X-API-VERSION": "7"}
    return headers if authorization is None else headers | {"Authorization": authorization}


async def _things(world: World, partner: Caller, shop: Shop, showman: Caller) -> Things:
    free, paid = await shop.product(price_minor=0, stock=1000), await shop.product(stock=1000)
    seen = (await shop.order({free: 2})).json()
    given_on = (await shop.order({free: 1})).json()
    pending = [(await shop.order({paid: 1})).json()["uid"] for _ in range(3)]
    consumer = await shop.post("/consumers", {"first_name": "Ann", "last_name": "Secret"})
    ride = await world.http.post(
        RIDES,
        json={"product": await world.product(), "quantity": 1, "payment_method": shop.method},
        headers=world.shopping_headers(showman),
    )
    order_row = next(row for row in await world.rows("order_details") if row["uid"] == seen["uid"])
    details = json.loads(order_row["details"])
    return Things(
        numbers=await _of_partner(world, partner),
        uids={
            "order": seen["uid"],
            "ticket": seen["_embedded"]["shop:ticket"][0]["uid"],
            "ticket to give on": given_on["_embedded"]["shop:ticket"][0]["uid"],
            "order to cancel": pending[0],
            "order to cancel, too": pending[1],
            "order to pay": pending[2],
            "consumer": consumer.json()["uid"],
            "event": shop.event.uid,
            "product": free,
            "ride": ride.json()["uid"],
        },
        etickets=details["etickets_token"],
        order_token=details["order_token"],
        client_to_rotate=(await world.shopping_client()).client.id,
        client_to_revoke=(await world.shopping_client()).client.id,
        staff_token=(await world.person("kim", Role.ADMIN)).key.removeprefix(STAFF_TOKEN),
        method=shop.method,
        code=seen["_embedded"]["shop:ticket"][0]["code"],
        endpoints=await _endpoints(world, {"partner A": partner, "shop A": shop.caller}),
    )


async def _endpoints(world: World, owners: dict[str, Caller]) -> dict[str, str]:
    """An endpoint of each owner, and two of the operator."""
    operators = Subscription()
    wanted = {"the operator's": (operators, None), "to remove": (operators, None)} | {
        f"{name}'s": (
            Subscription(contract=ContractName(owner.client.channel), client_id=owner.client.id),
            owner.client.id,
        )
        for name, owner in owners.items()
    }
    url = "https://receiver.example/events"
    return {name: (await world.endpoints.add(url, *each)).endpoint.id for name, each in wanted.items()}


async def _of_partner(world: World, partner: Caller) -> dict[str, int]:
    """Orders, appointments and tasks of a partner: several, because many calls can be made once for each."""
    await slot(world, SLOT, datetime.fromisoformat("2026-11-28T08:00:00+11:00"), capacity=100)
    numbers: dict[str, int] = {}
    for name in ("order", "to cancel", "to cancel by us", "to pay", "to advance", "to visit"):
        numbers[name] = await world.service_order(partner)

    async def number(path: str, body: dict[str, object]) -> int:
        return int((await asked(world, partner, path, body)).rpartition("/")[2])

    async def offer(order: int) -> int:
        return await number(ASK, {"orderId": order, "dateFrom": "2026-11-21"})

    for name in ("to book", "to withdraw"):
        numbers[f"offer {name}"] = await offer(await world.service_order(partner))
    for name in ("seen", "to call off", "called off", "to move", "to begin", "to end"):
        order = await world.service_order(partner)
        numbers[f"order {name}"] = order
        numbers[f"offer {name}"] = await offer(order)
        wanted = {"appointmentRequestId": numbers[f"offer {name}"], "slotId": SLOT}
        numbers[f"booking {name}"] = await number(BOOK, wanted)
        (visit,) = await world.rows("appointments", order)
        numbers[f"visit {name}"] = visit["id"]
    numbers["cancellation"] = await number(CALL_OFF, {"appointmentId": numbers["visit called off"]})
    return numbers
