"""Makes every call of a service once, and keeps what was sent and answered: the examples of the OpenAPI documents.

`make examples` writes them into the package; a test compares them with what the service answers.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx

from countermand.actions import errors
from countermand.actions.identity.secrets import hash_of, new_key, new_secret
from countermand.bootstrap import background_tasks
from countermand.bootstrap.api_modules import api_modules, connect_of, shopping_of
from countermand.contracts.connect import tokens
from countermand.contracts.http import answer
from countermand.contracts.http.contract import Deployment
from countermand.contracts.manage import privacy
from countermand.contracts.registry import CONTRACTS
from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE
from countermand.settings import Settings
from support.desk_examples import (
    asked_about_the_past,
    asked_another_person,
    looked_at_lists,
    put_money_right,
    read_events,
    undone_a_cancellation,
)
from support.endpoint_examples import managed_endpoints, own_endpoints
from support.own_tokens import ASSERTION_TYPE, OWN, assertion, own_client
from support.world import PUBLIC_URL, World, a_world, signing_key

ROOT = Path(__file__).parents[2]
CONTRACTS_FOLDER: Final = ROOT / "src" / "countermand" / "contracts"
FILES: Final = {
    "connect": CONTRACTS_FOLDER / "connect" / "examples.json",
    "tokens": CONTRACTS_FOLDER / "connect" / "token_examples.json",
    "shopping": CONTRACTS_FOLDER / "shopping" / "examples.json",
    "manage": CONTRACTS_FOLDER / "manage" / "examples.json",
    "partner": CONTRACTS_FOLDER / "partner" / "examples.json",
}
Examples = dict[str, dict[str, dict[str, Any]]]  # by operation, by "request" or status, by name
EVERY_CALL: Final = "*"  # the errors that are the same for all calls; a call has those of the statuses that it names
ONLY: Final = "example"  # the name of the one example of a request or a success

# What is drawn by lot is different each time; an example has other words of the same form there, the same each time.
_JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_A_JWT: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhY21lIn0.c2lnbmF0dXJl"
_DRAWN: Final = re.compile(
    r"(?P<before>^|[^0-9A-Za-z_])(?P<hex>(?P<uid>[0-9a-z])(?P=uid){31}|[0-9a-f]{32}|[0-9a-f]{24}|[0-9a-f]{20})"
    r"(?P<rest>(?<=/etickets/.{32})[\w-]{32})?(?![0-9A-Za-z_-])"
    r'|(?P<name>"(?:secret|n|kid)": ?"|(?<=[0-9a-f]{24})\.)(?P<text>[\w-]{43,})(?=")'
)

_ENDPOINT: Final = re.compile(r"(?<=ep_)[0-9a-f]{16}")
_TEST_EVENT: Final = re.compile(r"(?<=_endpoint_test_)[0-9a-f]{8}")
_SIGNING_KEY: Final = re.compile(r"(?:(?<=whsec_)|(?<=whpk_))[A-Za-z0-9+/]{42}[A-Za-z0-9+/=]+")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_HEX: Final = "0123456789abcdef"
ADDRESS: Final = "{public_url}"  # the service puts its own address there

EVENT, DAY, LOCKER, COMBO, TOUR, FREE = (letter * 32 for letter in "edlbtf")
IDEAL, ETICKET = "i" * 32, "m" * 32
EUROS: Final = "EUR"


def euros(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": EUROS}


CATALOGUE: Final = {
    "events": [
        {
            "uid": EVENT,
            "reference": "CANAL-DAYS",
            "merchant_name": "Canal Days Foundation",
            "title": {"en": "Canal Days", "nl": "Grachtendagen"},
            "subtitle": {"en": "A day of music on the water"},
            "sale_start": "2026-11-01T00:00:00+01:00",
            "sale_end": "2027-02-20T10:00:00+01:00",
            "event_start": "2027-02-20T10:00:00+01:00",
            "event_end": "2027-02-20T23:00:00+01:00",
            "max_quantity_per_order": 20,
            "location": {"name": "Canal Park", "address": "Kade 1", "city": "Groningen", "country": "NL"},
            "facilities": {"lockers": True, "parking": {"en": "At the station"}},
            "artists": [{"en": "Low Bridge"}],
            "genres": [{"name": {"en": "Folk"}}],
        }
    ],
    "products": [
        {
            "uid": DAY,
            "event": EVENT,
            "reference": "DAY-TICKET",
            "name": {"en": "Day ticket", "nl": "Dagkaart"},
            "price": euros(12.5),
            "service_costs": euros(1.5),
            "total_availability": 10_000,
            "max_per_order": 10,
            "viewing_order": 1,
        },
        {"uid": LOCKER, "event": EVENT, "name": {"en": "Locker"}, "price": euros(5), "total_availability": 200},
        {
            "uid": COMBO,
            "event": EVENT,
            "name": {"en": "Day ticket with locker"},
            "price": euros(16.5),
            "total_availability": 200,
            "parts": [{"product": DAY}, {"product": LOCKER}],
        },
        {"uid": TOUR, "event": EVENT, "name": {"en": "Backstage tour"}, "price": euros(45), "total_availability": 0},
        {"uid": FREE, "event": EVENT, "name": {"en": "Try-out"}, "price": euros(0), "total_availability": 50},
    ],
    "methods": [
        {"uid": IDEAL, "kind": "payment", "name": {"en": "iDeal"}, "costs": euros(1)},
        {"uid": ETICKET, "kind": "shipping", "name": {"en": "E-ticket"}, "costs": euros(0.5)},
    ],
    "vouchers": [{"code": "SUMMER-26", "event": EVENT, "products": [DAY], "discount_percent": 10, "uses_cap": 500}],
}
SLOT: Final = {
    "id": "2026-12-01-AM",
    "starts_at": "2026-12-01T08:00:00+11:00",
    "ends_at": "2026-12-01T12:00:00+11:00",
}
SERVICE_ORDER: Final = {
    "sourceType": "nbn",
    "contactName": "Jo Citizen",
    "contactPhone": "0412 345 678",
    "contactEmail": "jo@example.com",
    "remoteQualificationSearchId": "QS000000000001",
    "qualificationSearchId": "1",
    "locationId": "LOC380100009114",
    "planName": "Home Fast 100/20",
    "term": 1,
    "aggregationMethod": "L2TP",
    "customerReference": "PO 4711",
    "restorationSla": "Standard",
}
BUYER: Final = {"first_name": "Jo", "last_name": "Citizen", "email": "jo@example.com", "country": "NL"}
# What a document's errors are examples of if the scenario meets none: each with a sentence of the service.
SAMPLES: Final[Sequence[Exception]] = (
    answer.MalformedRequestError("the body is not JSON: Expecting value: line 1 column 1"),
    errors.NotAuthenticatedError("the bearer token is not valid", refused=True),
    answer.ForbiddenError("the permission is missing"),
    errors.NotFoundError("there is no such resource"),
    answer.BodyTooLargeError(65_536),
    answer.UnsupportedMediaTypeError("text/plain"),
    errors.IdempotencyKeyReusedError(),
    errors.UnavailableError("the database did not answer in time; nothing was done; send the request again"),
    Exception(),
)


@dataclass
class Recorder:
    """Makes calls by the names of their operations, and keeps them as examples."""

    world: World
    operations: Mapping[str, Mapping[str, tuple[str, str]]]
    headers: dict[str, dict[str, str]]
    made: dict[str, Examples] = field(default_factory=lambda: {name: {} for name in FILES})

    async def call(
        self,
        module: str,
        operation: str,
        body: Any = None,
        *,
        query: str = "",
        keep: bool = True,
        **path: object,
    ) -> httpx.Response:
        """Make a call, and keep it. An error is kept by its code, and what was sent only if it was right."""
        method, template = self.operations[module][operation]
        sent: dict[str, Any] = {} if body is None else {"json": body}
        if module == "tokens" and body is not None:
            sent = {"data": body}
        answered = await self.world.http.request(
            method, template.format(**path) + query, headers=self.headers[module], **sent
        )
        assert answered.status_code < 500, f"{operation}: {answered.text}"
        if keep:
            self._keep(module, operation, body, answered)
        return answered

    def _keep(self, module: str, operation: str, body: Any, answered: httpx.Response) -> None:
        kept = self.made[module].setdefault(operation, {})
        good = answered.is_success
        if good and body is not None:
            kept.setdefault("request", {}).setdefault(ONLY, json.dumps(body))
        if answered.content:
            name = ONLY if good else code_of(answered.json())
            kept.setdefault(str(answered.status_code), {}).setdefault(name, answered.text)


def code_of(error: Mapping[str, Any]) -> str:
    """The code of an error, in the form of any contract."""
    if "errors" in error and "type" not in error and "code" not in error:
        return str(error["errors"][0]["code"])
    return str(error.get("type") or error.get("code") or error["error"])


async def _number_nothing(*_: object) -> None:
    """In place of the background task, which would give positions at moments that depend on the machine."""


@patch.object(background_tasks, "number_events", _number_nothing)
async def recorded(folder: Path, database: Callable[[], Mapping[str, str]] = dict) -> dict[str, Examples]:
    """Every example of every document. `database` gives the settings of a new database, by default SQLite's."""
    async with a_world(folder, **OWN, **database(), appointments="remote") as world:
        await own_client(world)
        key, secret = new_key(), new_secret()
        await world.database.clients.add(
            channel=MANAGE,
            name="the shop's back office",
            permissions=frozenset(Permission),
            key=key,
            secret_sha256=hash_of(secret),
            identity=None,
            now=world.clock(),
        )
        documents = {name: (await world.http.get(f"/docs/{name}/openapi.json")).json() for name in FILES}
        recorder = Recorder(
            world,
            {name: _operations(document) for name, document in documents.items()},
            {"tokens": {}, "manage": {"Authorization": f"Bearer {key}.{secret}"}},
        )
        await _tokens(recorder)
        await _catalogue(recorder)
        await _shop(recorder)
        await _telecom(recorder)
        await _clients(recorder)
        await _staff(recorder)
        await asked_about_the_past(recorder, SERVICE_ORDER)
        await put_money_right(recorder, SERVICE_ORDER)
        await undone_a_cancellation(recorder, SERVICE_ORDER)
        await read_events(recorder, SERVICE_ORDER)
        await managed_endpoints(recorder, SERVICE_ORDER)
        await own_endpoints(recorder, SERVICE_ORDER)
        await looked_at_lists(recorder, _order(DAY, 2))
        await _privacy(recorder)
        for name, document in documents.items():
            await _errors(recorder, name, document)
    (folder / "calendar").mkdir()
    async with a_world(folder / "calendar", **database(), appointments="calendar") as world:
        await _booked_slot(world, recorder)
    (folder / "two persons").mkdir()
    async with a_world(folder / "two persons", **database(), override_needs_two=True) as world:
        await asked_another_person(world, recorder)
    return recorder.made


async def _booked_slot(world: World, it: Recorder) -> None:
    """The operator's calendar has a booked slot, whose time cannot change."""
    partner, operator = await world.connect_client(), await world.manage_client()
    it.world, it.headers = (
        world,
        {
            "connect": world.connect_headers(partner),
            "manage": world.manage_headers(operator),
        },
    )
    slot = {**SLOT, "capacity": 4}
    await it.call("manage", "loadCalendar", {"slots": [slot]}, keep=False)
    order = await world.service_order(partner)
    offer = await _asked(it, "requestAppointmentSlots", {"orderId": order, "dateFrom": "2026-11-30"})
    await _asked(it, "bookAppointment", {"appointmentRequestId": offer, "slotId": SLOT["id"]})
    await it.call("manage", "loadCalendar", {"slots": [{**slot, "area": "LOC3801"}]})


def _operations(document: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def _tokens(it: Recorder) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(it.world),
    }
    token = (await it.call("tokens", "getAccessToken", form)).json()["access_token"]
    it.headers["connect"] = {"Authorization": f"Bearer {token}", "X-API-VERSION": "8"}
    await it.call("tokens", "getAccessToken", form)  # the assertion was used
    await it.call("tokens", "getAccessToken", form | {"grant_type": "password"})
    await it.call("tokens", "getConfiguration")
    await it.call("tokens", "getKeySet")


async def _catalogue(it: Recorder) -> None:
    await it.call("manage", "loadCatalogue", CATALOGUE)
    less = {**CATALOGUE["products"][0], "total_availability": 0}
    await it.call("manage", "readCatalogue")
    client = {
        "contract": "shopping",
        "name": "Canal Days shop",
        "permissions": ["create", "read", "cancel"],
        "redirect_url": "https://shop.example/thanks",
    }
    added = (await it.call("manage", "addClient", client)).json()
    basic = httpx.BasicAuth(added["key"], added["secret"])
    request = next(basic.auth_flow(httpx.Request("GET", PUBLIC_URL)))
    it.headers["shopping"] = {"Authorization": request.headers["authorization"]}
    await it.call("shopping", "createOrder", _order(DAY, 2), keep=False)
    await it.call("manage", "loadCatalogue", {"products": [less]})
    it.world.clock.forward(minutes=1)


def _order(product: str, quantity: int, **more: Any) -> dict[str, Any]:
    return {
        "products": [{"product": f"{PUBLIC_URL}/products/{product}", "quantity": quantity}],
        "consumer": BUYER,
        "payment_method": IDEAL,
        "shipping_method": ETICKET,
    } | more


async def _shop(it: Recorder) -> None:
    for name in ("readRoot", "readStatus", "listEvents", "listProducts"):
        await it.call("shopping", name)
    await it.call("shopping", "readEvent", uid=EVENT)
    await it.call("shopping", "readProduct", uid=DAY)
    await it.call("shopping", "createBill", _order(DAY, 2))
    await it.call("shopping", "readBill", query=f"?products={PUBLIC_URL}/products/{DAY},2&country=NL")
    consumer = (await it.call("shopping", "createConsumer", BUYER)).json()
    await it.call("shopping", "readConsumer", uid=consumer["uid"])
    await it.call("shopping", "listConsumers")
    order = (await it.call("shopping", "createOrder", _order(DAY, 2, external_reference="INV-2026-7"))).json()
    for wrong in (
        _order("0" * 32, 1),
        _order(TOUR, 1),
        _order(DAY, 11),
        _order(DAY, 1, payment_method=None),
        _order(DAY, 1, payment_method="0" * 32),
        _order(DAY, 1, shipping_method="0" * 32),
        _order(DAY, 1, consumer=None),
        _order(DAY, 1, vouchers=["WINTER"]),
    ):
        for name in ("createOrder", "createBill"):
            await it.call("shopping", name, wrong)
    await it.call("shopping", "readOrder", uid=order["uid"])
    await it.call("shopping", "explainOrder", uid=order["uid"])
    await it.call("shopping", "listOrders")
    for name in ("listEvents", "listProducts", "listOrders", "listConsumers"):
        await it.call("shopping", name, query="?page=0")
    await it.call("shopping", "findTickets", query="?event=x")
    for products in (f"{PUBLIC_URL}/products/{'0' * 32},1", f"{PUBLIC_URL}/products/{TOUR},1", "x"):
        await it.call("shopping", "readBill", query=f"?products={products}")
    uri = f"{PUBLIC_URL}/orders/{order['uid']}"
    await it.call("shopping", "cancelOrder", {"order": uri, "reason": "The buyer is ill"})
    await it.call("shopping", "cancelOrder", {"order": uri, "reason": "The buyer is ill"})
    paid = (await it.call("shopping", "createOrder", _order(DAY, 2), keep=False)).json()
    payment = {"reference": "psp-20261121-17", "amount": paid["grand_total"]["amount"], "currency": EUROS}
    await it.call("manage", "recordPayment", payment, id=f"shopping-{paid['uid']}")
    await it.call("manage", "recordPayment", payment, id=f"shopping-{paid['uid']}")
    late = payment | {"reference": "psp-20261121-18"}
    await it.call("manage", "recordPayment", late, id=f"shopping-{order['uid']}")
    refused = {"order": f"{PUBLIC_URL}/orders/{paid['uid']}", "reason": "The buyer is ill"}
    await it.call("shopping", "cancelOrder", refused)
    free = (await it.call("shopping", "createOrder", _order(FREE, 1, shipping_method=None), keep=False)).json()
    ticket = free["_embedded"]["shop:ticket"][0]
    await it.call("shopping", "readTicket", uid=ticket["uid"])
    await it.call("shopping", "findTickets", query=f"?event={PUBLIC_URL}/events/{EVENT}&code={ticket['code']}")


async def _telecom(it: Recorder) -> None:
    order = (await it.call("connect", "createOrder", SERVICE_ORDER)).json()["id"]
    name = f"connect-{order}"
    await it.call("connect", "requestAppointmentSlots", {"orderId": order, "dateFrom": "2026-11-30"})
    (task,) = (await it.call("manage", "listAppointmentTasks")).json()["tasks"]
    await it.call("connect", "bookAppointment", {"appointmentRequestId": task["id"], "slotId": "x"})
    await it.call("manage", "answerAppointmentTask", {"slots": [SLOT]}, id=name, task=task["id"])
    await it.call("manage", "answerAppointmentTask", {"slots": [SLOT]}, id=name, task=task["id"])
    await it.call("connect", "readAppointmentSlots", id=task["id"])
    wanted = {"appointmentRequestId": task["id"], "slotId": SLOT["id"]}
    await it.call("connect", "bookAppointment", wanted | {"slotId": "2026-12-24-AM"})
    booking = await _asked(it, "bookAppointment", wanted)
    await it.call("connect", "bookAppointment", wanted)
    yes = {"accepted": {"remote_id": "APT000000000042"}}
    await it.call("manage", "answerAppointmentTask", yes, id=name, task=booking, keep=False)
    visit = (await it.call("connect", "readAppointmentBooking", id=booking)).json()["id"]
    await it.call("connect", "readAppointment", id=visit)
    await it.call("connect", "listAppointments", id=order)
    await it.call("connect", "bookAppointment", wanted)
    await it.call("connect", "requestAppointmentSlots", {"orderId": order, "dateFrom": "2026-11-30"})
    await it.call("connect", "readOrder", id=order)
    await it.call("connect", "explainOrder", id=order)
    calling_off = await _asked(it, "cancelAppointment", {"appointmentId": visit})
    await it.call("connect", "cancelAppointment", {"appointmentId": visit})
    await it.call("manage", "answerAppointmentTask", yes, id=name, task=calling_off, keep=False)
    await it.call("connect", "readAppointmentCancellation", id=calling_off)
    await it.call("connect", "cancelAppointment", {"appointmentId": visit})
    await _refused_tasks(it)
    await _visits(it, name)
    await it.call("manage", "explainOrder", id=name)
    await it.call("connect", "cancelOrder", {"orderId": order})
    await it.call("manage", "cancelOrder", {"reason": "The customer rang: not wanted"}, id=name)
    await it.call("manage", "advanceOrder", {"move": "accept"}, id=name)
    await it.call("manage", "cancelOrder", {"reason": "The customer rang: not wanted"}, id=name, keep=False)
    another = (await it.call("connect", "createOrder", SERVICE_ORDER, keep=False)).json()["id"]
    await it.call("connect", "listOrders", query="?limit=2")
    await it.call("connect", "listOrders", query="?limit=0")
    await it.call("connect", "cancelOrder", {"orderId": another})
    await it.call("connect", "cancelOrder", {"orderId": another})
    await it.call("connect", "requestAppointmentSlots", {"orderId": another, "dateFrom": "2026-11-30"})
    await it.call("manage", "advanceOrder", {"move": "accept"}, id=f"connect-{another}")
    third = (await it.call("connect", "createOrder", SERVICE_ORDER, keep=False)).json()["id"]
    await it.call("manage", "cancelOrder", {"reason": "The customer rang: not wanted"}, id=f"connect-{third}")
    await it.call("manage", "readOrder", id=f"connect-{third}")
    for question in ("?q=citizen&limit=2", "?q=x"):
        await it.call("manage", "findOrders", query=question)
    slots = [{**SLOT, "capacity": 4, "area": "LOC3801"}]
    await it.call("manage", "loadCalendar", {"slots": slots})
    await it.call("manage", "readCalendar")
    for name in ("readCalendar", "readCatalogue", "listAppointmentTasks"):
        await it.call("manage", name, query="?after=-")
    for name in ("readOrder", "explainOrder"):
        await it.call("manage", name, id=order)
    await it.call("manage", "cancelAppointment", id=order, appointment=1)


async def _asked(it: Recorder, operation: str, body: Any) -> int:
    """The number of a request whose result takes a while."""
    return int((await it.call("connect", operation, body)).headers["location"].rpartition("/")[2])


async def _refused_tasks(it: Recorder) -> None:
    """An offer, a booking and a cancellation that the operator refuses, and an offer that is withdrawn."""
    refused = {"refused": {"code": "no_technician", "message": "No technician is free on that day"}}
    order = (await it.call("connect", "createOrder", SERVICE_ORDER, keep=False)).json()["id"]
    name = f"connect-{order}"
    wanted = {"orderId": order, "dateFrom": "2026-11-30"}
    asked = await _asked(it, "requestAppointmentSlots", wanted)
    await it.call("manage", "answerAppointmentTask", refused, id=name, task=asked, keep=False)
    await it.call("connect", "readAppointmentSlots", id=asked)
    asked = await _asked(it, "requestAppointmentSlots", wanted)
    await it.call("manage", "answerAppointmentTask", {"slots": [SLOT]}, id=name, task=asked, keep=False)
    for answered in (refused, {"accepted": {}}):
        booking = await _asked(it, "bookAppointment", {"appointmentRequestId": asked, "slotId": SLOT["id"]})
        await it.call("manage", "answerAppointmentTask", answered, id=name, task=booking, keep=False)
        visit = (await it.call("connect", "readAppointmentBooking", id=booking)).json().get("id")
    calling_off = await _asked(it, "cancelAppointment", {"appointmentId": visit})
    await it.call("manage", "answerAppointmentTask", refused, id=name, task=calling_off, keep=False)
    await it.call("connect", "readAppointmentCancellation", id=calling_off)
    order = (await it.call("connect", "createOrder", SERVICE_ORDER, keep=False)).json()["id"]
    asked = await _asked(it, "requestAppointmentSlots", wanted | {"orderId": order})
    await it.call("connect", "cancelAppointmentRequest", {"appointmentRequestId": asked})
    await it.call("connect", "readAppointmentSlots", id=asked)
    await it.call("connect", "bookAppointment", {"appointmentRequestId": asked, "slotId": SLOT["id"]})


async def _visits(it: Recorder, name: str) -> None:
    """What the operator does with a visit by itself; the last one begins within a day."""
    times = {"starts_at": "2026-11-23T01:00:00Z", "ends_at": "2026-11-23T05:00:00Z"}
    visit = (await it.call("manage", "setAppointment", times, id=name)).json()["id"]
    await it.call("manage", "setAppointment", times, id=name)
    at = {"id": name, "appointment": visit}
    await it.call("manage", "moveAppointment", {k: v.replace("-23T", "-24T") for k, v in times.items()}, **at)
    await it.call("manage", "cancelAppointment", **at)
    for operation, body in (("cancelAppointment", None), ("moveAppointment", times), ("advanceAppointment", _BEGUN)):
        await it.call("manage", operation, body, **at)
    soon = {"starts_at": "2026-11-22T01:00:00Z", "ends_at": "2026-11-22T05:00:00Z"}
    visit = (await it.call("manage", "setAppointment", soon, id=name, keep=False)).json()["id"]
    await it.call("manage", "advanceAppointment", _BEGUN, id=name, appointment=visit)


_BEGUN: Final = {"state": "in_progress"}


async def _clients(it: Recorder) -> None:
    shop = {"contract": "shopping", "name": "Another shop"}
    client = (await it.call("manage", "addClient", shop, keep=False)).json()["client"]["id"]
    redirects = {"redirect_url": "https://shop.example/thanks", "redirect_schemes": ["myapp"]}
    await it.call("manage", "setRedirects", redirects, client=client)
    await it.call("manage", "setRedirects", {"redirect_url": "javascript:alert(1)"}, client=client)
    await it.call("manage", "changeClient", {"name": "The shop at the canal", "permissions": ["read"]}, client=client)
    await it.call("manage", "changeClient", {"name": " "}, client=client)
    await it.call("manage", "rotateClient", {"overlap_s": 3600}, client=client)
    await it.call("manage", "rotateClient", {"overlap_s": 3600}, client=client)
    await _claimed_for_nobody(it, "rotateClient", client=client)
    await _claimed_for_nobody(it, "revokeClient", client=client)
    it.world.clock.forward(minutes=1)
    await it.call("manage", "revokeClient", client=client)
    await it.call("manage", "rotateClient", client=client)
    await it.call("manage", "listClients")
    await it.call("manage", "listClients", query="?revoked=true")
    await it.call("manage", "restoreClient", client=client)
    await _claimed_for_nobody(it, "restoreClient", client=client)
    partner = {"contract": "connect", "name": "Acme", "client_id": "acme", "public_key": _public_key()}
    await it.call("manage", "addClient", partner)  # another client has the name


async def _privacy(it: Recorder) -> None:
    person = {"email": "kim@example.com"}
    order = _order(FREE, 1, consumer=BUYER | person, shipping_method=None)
    made = (await it.call("shopping", "createOrder", order, keep=False)).json()
    cancellation = {"order": f"{PUBLIC_URL}/orders/{made['uid']}", "reason": "kim@example.com is ill"}
    await it.call("shopping", "cancelOrder", cancellation, keep=False)
    contact = {"contactEmail": person["email"]}
    await it.call("connect", "createOrder", SERVICE_ORDER | contact, keep=False)
    await it.call("manage", "exportPerson", person)
    await it.call("manage", "exportPerson", {"email": "Jo"})
    with patch.object(privacy, "MOST_EXPORTED", 0):  # instead of a thousand orders
        await it.call("manage", "exportPerson", person)
    await it.call("manage", "forgetPerson", person | {"dry_run": False})
    await it.call("manage", "forgetPerson", {"email": "Jo"})


def _public_key() -> dict[str, Any]:
    return {name: value for name, value in signing_key().as_dict(private=False).items() if name in {"kty", "n", "e"}}


async def _staff(it: Recorder) -> None:
    kim = {"id": "kim", "name": "Kim Lee", "roles": ["support", "finance"]}
    for _ in range(2):
        await it.call("manage", "addStaff", kim)
    made = (await it.call("manage", "addStaffToken", {}, staff="kim")).json()
    await it.call("manage", "revokeStaffToken", staff="kim", key=made["key"])
    it.world.clock.forward(minutes=1)
    await it.call("manage", "listStaff")
    await it.call("manage", "listStaff", query="?disabled=true")
    await it.call("manage", "changeStaff", {"roles": ["support"]}, staff="kim")
    await it.call("manage", "changeStaff", {}, staff="kim")
    await it.call("manage", "disableStaff", staff="kim")
    await it.call("manage", "addStaffToken", {}, staff="kim")
    await it.call("manage", "addStaffToken", {"client_id": 1}, staff="kim")
    await it.call("manage", "enableStaff", staff="kim")
    for operation in ("disableStaff", "enableStaff", "revokeStaffToken"):
        await _claimed_for_nobody(it, operation, staff="kim", key=made["key"])


async def _claimed_for_nobody(it: Recorder, operation: str, **path: object) -> None:
    """A client that acts for a person who is not there."""
    it.headers["manage"]["Acting-As"] = "nobody"
    await it.call("manage", operation, **path)
    del it.headers["manage"]["Acting-As"]


async def _errors(it: Recorder, module: str, document: Mapping[str, Any]) -> None:
    """Send an empty body to each call, and take from the contract's table what else its document names."""
    answer_of = _error_answers()[module]
    version = [answer.MalformedRequestError("the header X-API-VERSION is missing; supported versions: 1 to 8")]
    samples = [
        (code_of(json.loads(said.body)), said)
        for said in map(answer_of, [*(version if module == "connect" else ()), *SAMPLES])
    ]
    common: dict[str, dict[str, Any]] = {}
    for code, said in samples:
        common.setdefault(str(said.status), {}).setdefault(code, said.body.decode())
    it.made[module][EVERY_CALL] = common
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if "requestBody" in operation and not operation["operationId"].endswith(("WithSlash", "WithoutSlash")):
                numbers = dict.fromkeys(re.findall(r"{(\w+)}", path), "1") | {"id": "connect-1"}
                await it.call(module, operation["operationId"], {}, **numbers)


def _error_answers() -> dict[str, Any]:
    terms = (connect_of(Settings()), shopping_of(Settings(), PUBLIC_URL))
    nobody: Any = None
    modules = api_modules(CONTRACTS, Deployment(public_url=PUBLIC_URL, terms=terms), nobody, nobody)
    return {module.name: module.rules.error_answer for module in modules} | {"tokens": tokens.error_answer}


def _same_each_time(text: str) -> str:
    """The text with words of the same form in the place of everything that is drawn by lot."""
    put: dict[str, str] = {}

    def other(drawn: str, alphabet: str) -> str:
        if drawn not in put:
            source = b"".join(hashlib.sha256(f"{len(put)} {n}".encode()).digest() for n in range(1 + len(drawn) // 32))
            put[drawn] = "".join(alphabet[byte % len(alphabet)] for byte in source[: len(drawn)])
        return put[drawn]

    def replaced(found: re.Match[str]) -> str:
        if found["text"]:
            return found["name"] + other(found["text"][:43], _LETTERS)
        return (
            found["before"] + other(found["hex"], _HEX) + ("" if not found["rest"] else other(found["rest"], _LETTERS))
        )

    text = _DRAWN.sub(replaced, _JWT.sub(_A_JWT, text))
    for drawn, alphabet in ((_ENDPOINT, _HEX), (_TEST_EVENT, _HEX), (_SIGNING_KEY, _LETTERS[:62])):
        text = drawn.sub(lambda found, known=alphabet: other(found[0], known), text)  # type: ignore[misc]
    return text.replace(PUBLIC_URL, ADDRESS)


def written(examples: Examples) -> str:
    """A file of examples, one a line, with numbers written as the service wrote them."""
    operations = []
    for operation, kinds in sorted(examples.items()):
        lines = [
            f'  "{kind}": {{\n' + ",\n".join(f'   "{name}": {text}' for name, text in named.items()) + "\n  }"
            for kind, named in kinds.items()
        ]
        operations.append(f' "{operation}": {{\n' + ",\n".join(lines) + "\n }")
    return _same_each_time("{\n" + ",\n".join(operations) + "\n}\n")
