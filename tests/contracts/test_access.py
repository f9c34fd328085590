"""Every route, every kind of credential, and somebody else's object: who is let in, and what does not change?

A route without a row fails, and so does a row without a route. What belongs to the callers A is asked for by all.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio
from litestar import Litestar

from countermand.contracts.registry import CONTRACTS
from support.access import SLOT, Headers, Things, callers_and_things
from support.connect_calls import SERVICE_ORDER, send
from support.database_contents import changed, contents
from support.fairground.contract import CONTRACT as FAIRGROUND
from support.manage_calls import PAYMENT, VISIT
from support.shared_world import Services
from support.world import PUBLIC_URL, World

ALL: Final = (*CONTRACTS, FAIRGROUND)
REALM: Final = "/auth/realms/superloop"
CONNECT: Final = "/api/connect/orders"
MANAGE: Final = "/manage/v1"
PARTNER: Final = "/partner/v1"
# The callers of what everybody may call: the answer is the same with and without a credential.
SOME: Final = frozenset({"nothing", "garbage", "partner B", "shop B", "operator"})
Answers = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A route, an object of a caller A, and the status for each kind of caller; for all others, `otherwise`."""

    route: str  # method and path, as the framework has them
    answers: Answers
    otherwise: int = 401
    object: Callable[[Things], Mapping[str, object]] = lambda _: {}
    body: Callable[[Things], Any] = lambda _: None
    query: Callable[[Things], str] = lambda _: ""
    what: str = ""

    def __str__(self) -> str:
        return f"{self.route} {self.what}".strip()


def own(status: int) -> Answers:
    """Who asks for an object of partner A: to another partner it is unknown, as is every call without permission."""
    return {"partner A": status, "partner B": 404, "a partner without permissions": 404}


def each(status: int) -> Answers:
    """For every partner, as the call names no object."""
    return {"partner A": status, "partner B": status, "a partner without permissions": 404}


def seen(status: int, *, browser: int, other: int = 404, all_seen: int | None = None) -> Answers:
    """Who asks for an object of shop A."""
    return {
        "shop A": status,
        "shop B": other,
        "a shop that sees all": status if all_seen is None else all_seen,
        "a shop without permissions": 403,
        "browser of A": browser,
    }


def shops(status: int, *, browser: int = 0) -> Answers:
    """For every shop, as the call names no object."""
    return seen(status, browser=browser or status, other=status)


def operator(status: int, *, reads: int = 403) -> Answers:
    return {"operator": status, "operator that reads": reads}


def subscribers(status: int) -> Answers:
    """For the clients of every contract, with the permission."""
    let_in = ("partner A", "partner B", "shop A", "shop B", "a shop that sees all", "showman A", "showman B")
    without = ("a partner without permissions", "a shop without permissions")
    return dict.fromkeys(let_in, status) | dict.fromkeys(without, 403)


def endpoint(whose: str) -> Callable[[Things], Mapping[str, object]]:
    return lambda things: {"endpoint": things.endpoints[whose]}


def number(name: str, **more: str) -> Callable[[Things], Mapping[str, object]]:
    return lambda things: {"id": things.numbers[name], **{key: things.numbers[of] for key, of in more.items()}}


def telecom(name: str, **more: str) -> Callable[[Things], Mapping[str, object]]:
    """The same for the operator, whose ids of orders name the contract."""
    return lambda things: {**number(name, **more)(things), "id": f"connect-{things.numbers[name]}"}


def uid(name: str) -> Callable[[Things], Mapping[str, object]]:
    return lambda things: {"uid": things.uids[name]}


def given(field: str, name: str, **more: object) -> Callable[[Things], Any]:
    return lambda things: {field: things.numbers[name], **more}


def wanted(**more: object) -> Callable[[Things], Any]:
    """A body for an order or a bill. A field of `more` may be a function of the things."""

    def body(things: Things) -> Any:
        own_fields = {name: value(things) if callable(value) else value for name, value in more.items()}
        product = {"product": f"{PUBLIC_URL}/products/{things.uids['product']}", "quantity": 1}
        return {"products": [product], "consumer": {"first_name": "Jo"}, "payment_method": things.method} | own_fields

    return body


def transfer(things: Things) -> Any:
    ticket = f"{PUBLIC_URL}/tickets/{things.uids['ticket to give on']}"
    return {"tickets": [ticket], "consumer": {"first_name": "Jo"}}


def its_consumer(things: Things) -> Any:
    return {"uid": things.uids["consumer"], "city": "Here"}


def everybody(route: str, status: int = 200, **more: Any) -> Row:
    return Row(route=route, answers={}, otherwise=status, **more)


_NEW_SLOT: Final = {
    "id": "new",
    "starts_at": "2026-12-28T08:00:00+11:00",
    "ends_at": "2026-12-28T12:00:00+11:00",
    "capacity": 1,
}
RECEIVER: Final = {"url": "https://receiver.example/events"}
FAILED: Final = {"failed_since": "2026-11-21T00:00:00Z"}
PERSON: Final = {"staff": "kim"}
_OF_ORDER: Final = seen(200, browser=200) | {"token of A's order": 200}
# The rows that change something come after those that read the same object.
TABLE: Final = [
    everybody(f"POST {REALM}/protocol/openid-connect/token", 400),
    everybody(f"GET {REALM}/protocol/openid-connect/certs"),
    everybody(f"GET {REALM}/.well-known/openid-configuration"),
    Row(route=f"GET {CONNECT}", answers=each(200)),
    Row(route=f"GET {CONNECT}/{{id}}", answers=own(200), object=number("order")),
    Row(route=f"GET {CONNECT}/{{id}}/cancellability", answers=own(200), object=number("order")),
    Row(route=f"GET {CONNECT}/{{id}}/appointments", answers=own(200), object=number("order seen")),
    Row(route=f"GET {CONNECT}/appointments/{{id}}", answers=own(200), object=number("visit seen")),
    Row(route=f"GET {CONNECT}/appointment-requests/requests/{{id}}", answers=own(200), object=number("offer to book")),
    Row(route=f"GET {CONNECT}/appointments/requests/{{id}}", answers=own(200), object=number("booking seen")),
    Row(
        route=f"GET {CONNECT}/appointment-cancellations/requests/{{id}}",
        answers=own(200),
        object=number("cancellation"),
    ),
    Row(route=f"POST {CONNECT}/create", answers=each(201), body=lambda _: SERVICE_ORDER),
    Row(
        route=f"POST {CONNECT}/appointment-requests/request",
        answers=own(201),
        body=given("orderId", "order", dateFrom="2026-11-21"),
    ),
    Row(
        route=f"POST {CONNECT}/appointment-requests/cancel",
        answers=own(204),
        body=given("appointmentRequestId", "offer to withdraw"),
    ),
    Row(
        route=f"POST {CONNECT}/appointments/request",
        answers=own(201),
        body=given("appointmentRequestId", "offer to book", slotId=SLOT),
    ),
    Row(
        route=f"POST {CONNECT}/appointment-cancellations/request",
        answers=own(201),
        body=given("appointmentId", "visit to call off"),
    ),
    Row(route=f"POST {CONNECT}/cancel", answers=own(200), body=given("orderId", "to cancel")),
    everybody("GET /"),
    everybody("GET /status"),
    Row(route="GET /events", answers=shops(200)),
    Row(route="GET /events/{uid}", answers=shops(200), object=uid("event")),
    Row(route="GET /products", answers=shops(200)),
    Row(route="GET /products/{uid}", answers=shops(200), object=uid("product")),
    Row(route="GET /orders", answers=shops(200, browser=403)),
    Row(route="GET /orders/{uid}", answers=_OF_ORDER, object=uid("order")),
    Row(
        route="GET /orders/{uid}",
        what="another order of A than the token's",
        answers=seen(200, browser=200),
        object=uid("order to pay"),
    ),
    Row(route="GET /orders/{uid}", what="of another contract", answers=seen(404, browser=404), object=uid("ride")),
    Row(route="GET /orders/{uid}/cancellability", answers=_OF_ORDER, object=uid("order")),
    Row(
        route="GET /tickets",
        answers=shops(200, browser=403),
        query=lambda things: f"?event={PUBLIC_URL}/events/{things.uids['event']}&code={things.code}",
    ),
    Row(route="GET /tickets/{uid}", answers=seen(200, browser=403), object=uid("ticket")),
    Row(route="GET /consumers", answers=shops(200, browser=403)),
    Row(route="GET /consumers/{uid}", answers=seen(200, browser=403, all_seen=404), object=uid("consumer")),
    Row(
        route="GET /bill",
        answers=shops(200),
        query=lambda things: f"?products={PUBLIC_URL}/products/{things.uids['product']},1",
    ),
    Row(route="POST /bill", answers=shops(200), body=wanted()),
    Row(
        route="POST /bill",
        what="for a consumer of A",
        answers=seen(200, browser=403, other=400, all_seen=400),
        body=wanted(consumer=its_consumer),
    ),
    Row(route="POST /bill", what="of A's tickets", answers=seen(200, browser=403, all_seen=404), body=transfer),
    Row(route="POST /orders", answers=shops(201), body=wanted()),
    Row(
        route="POST /orders",
        what="for a consumer of A",
        answers=seen(201, browser=403, other=400, all_seen=400),
        body=wanted(consumer=its_consumer),
    ),
    Row(route="POST /orders", what="of A's tickets", answers=seen(201, browser=403, all_seen=404), body=transfer),
    Row(route="POST /consumers", answers=shops(201, browser=403), body=lambda _: {"first_name": "Jo"}),
    Row(
        route="POST /consumers",
        what="a revision of A's",
        answers=seen(201, browser=403, other=400, all_seen=400),
        body=its_consumer,
    ),
    Row(
        route="POST /ordercancellation/",
        answers=seen(200, browser=403, all_seen=404),
        body=lambda things: {"order": f"{PUBLIC_URL}/orders/{things.uids['order to cancel']}", "reason": "r"},
    ),
    Row(
        route="POST /ordercancellation",
        answers=seen(200, browser=403, all_seen=404),
        body=lambda things: {"order": f"{PUBLIC_URL}/orders/{things.uids['order to cancel, too']}", "reason": "r"},
    ),
    Row(route="GET /fairground/v1/rides/{uid}", answers={"showman A": 200, "showman B": 404}, object=uid("ride")),
    Row(
        route="POST /fairground/v1/rides",
        answers={"showman A": 201, "showman B": 201},
        body=lambda things: {"product": things.uids["product"], "quantity": 1, "payment_method": things.method},
    ),
    Row(
        route="POST /fairground/v1/cancel",
        answers={"showman A": 200, "showman B": 404},
        body=lambda things: {"uid": things.uids["ride"]},
    ),
    Row(route=f"GET {MANAGE}/orders", answers=operator(200, reads=200)),
    Row(route=f"GET {MANAGE}/orders", answers=operator(200, reads=200), query=lambda _: "?q=jo", what="by a name"),
    Row(route=f"GET {MANAGE}/orders/{{id}}", answers=operator(200, reads=200), object=telecom("order")),
    Row(route=f"GET {MANAGE}/orders/{{id}}/cancellability", answers=operator(200, reads=200), object=telecom("order")),
    Row(route=f"GET {MANAGE}/appointment-tasks", answers=operator(200, reads=200)),
    Row(route=f"GET {MANAGE}/calendar/slots", answers=operator(200, reads=200)),
    Row(route=f"GET {MANAGE}/catalogue", answers=operator(200, reads=200)),
    Row(route=f"GET {MANAGE}/clients", answers=operator(200)),
    *(
        Row(route=f"GET {MANAGE}/{path}", answers=operator(200, reads=200))
        for path in (
            "cancellations",
            "refusals",
            "refusals/reasons",
            "late-payments",
            "part-payments",
            "refunds",
            "approvals",
            "events",
        )
    ),
    Row(
        route=f"GET {MANAGE}/approvals/{{approval}}",
        answers=operator(404, reads=404),
        object=lambda _: {"approval": "0" * 32},
    ),
    *(
        Row(  # `test_manage_approvals.py` has persons and approvals
            route=f"POST {MANAGE}/approvals/{{approval}}/{path}",
            answers=operator(404),
            object=lambda _: {"approval": "0" * 32},
        )
        for path in ("confirm", "withdraw")
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/cancel",
        answers=operator(200),
        object=telecom("to cancel by us"),
        body=lambda _: {"reason": "r"},
    ),
    Row(  # it was cancelled just now
        route=f"POST {MANAGE}/orders/{{id}}/restore",
        answers=operator(200),
        object=telecom("to cancel by us"),
        body=lambda _: {"reason": "r"},
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/payments",
        answers=operator(201),
        object=telecom("to pay"),
        body=lambda _: PAYMENT,
    ),
    *(
        Row(  # nothing was paid yet
            route=f"POST {MANAGE}/orders/{{id}}/{path}",
            answers=operator(409),
            object=telecom("to pay"),
            body=lambda _: PAYMENT | {"reason": "r"},
        )
        for path in ("refunds", "chargebacks")
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/refunds/{{reference}}/failed",
        answers=operator(404),
        object=lambda things: {**telecom("to pay")(things), "reference": "unheard"},
        body=lambda _: {"reason": "r"},
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/payments/{{reference}}/assign",
        answers=operator(404),
        object=lambda things: {**telecom("to pay")(things), "reference": "unheard"},
        body=lambda things: {"order": f"connect-{things.numbers['to advance']}", "reason": "r"},
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/payments/{{reference}}/void",
        answers=operator(200),
        object=lambda things: {**telecom("to pay")(things), "reference": PAYMENT["reference"]},
        body=lambda _: {"reason": "r"},
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/moves",
        answers=operator(200),
        object=telecom("to advance"),
        body=lambda _: {"move": "accept"},
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/appointments",
        answers=operator(201),
        object=telecom("to visit"),
        body=lambda _: VISIT,
    ),
    Row(
        route=f"PUT {MANAGE}/orders/{{id}}/appointments/{{appointment}}",
        answers=operator(200),
        object=telecom("order to move", appointment="visit to move"),
        body=lambda _: VISIT,
    ),
    Row(
        route=f"PUT {MANAGE}/orders/{{id}}/appointments/{{appointment}}",
        what="of another order",
        answers=operator(404),
        object=telecom("order to move", appointment="visit seen"),
        body=lambda _: VISIT,
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/appointments/{{appointment}}/state",
        answers=operator(200),
        object=telecom("order to begin", appointment="visit to begin"),
        body=lambda _: {"state": "in_progress"},
    ),
    Row(
        route=f"DELETE {MANAGE}/orders/{{id}}/appointments/{{appointment}}",
        answers=operator(200),
        object=telecom("order to end", appointment="visit to end"),
    ),
    Row(  # the calendar has answered already, which only somebody with the permission learns
        route=f"POST {MANAGE}/orders/{{id}}/appointment-tasks/{{task}}/answer",
        answers=operator(409),
        object=telecom("order seen", task="booking seen"),
        body=lambda _: {"accepted": {}},
    ),
    Row(
        route=f"POST {MANAGE}/orders/{{id}}/appointment-tasks/{{task}}/answer",
        what="of another order",
        answers=operator(404),
        object=telecom("order to move", task="booking seen"),
        body=lambda _: {"accepted": {}},
    ),
    Row(route=f"PUT {MANAGE}/calendar/slots", answers=operator(200), body=lambda _: {"slots": [_NEW_SLOT]}),
    Row(route=f"PUT {MANAGE}/catalogue", answers=operator(200), body=lambda _: {}),
    Row(
        route=f"POST {MANAGE}/clients",
        answers=operator(201),
        body=lambda _: {"contract": "shopping", "name": "New"},
    ),
    Row(
        route=f"POST {MANAGE}/clients/{{client}}/rotate",
        answers=operator(200),
        object=lambda things: {"client": things.client_to_rotate},
    ),
    Row(
        route=f"POST {MANAGE}/clients/{{client}}/revoke",
        answers=operator(200),
        object=lambda things: {"client": things.client_to_revoke},
    ),
    Row(
        route=f"POST {MANAGE}/clients/{{client}}/restore",
        answers=operator(200),
        object=lambda things: {"client": things.client_to_revoke},
    ),
    Row(
        route=f"POST {MANAGE}/clients/{{client}}/change",
        answers=operator(200),
        object=lambda things: {"client": things.client_to_rotate},
        body=lambda _: {"name": "New name"},
    ),
    Row(route=f"POST {MANAGE}/privacy/export", answers=operator(200), body=lambda _: {"email": "nobody@example.com"}),
    Row(route=f"POST {MANAGE}/privacy/forget", answers=operator(200), body=lambda _: {"email": "nobody@example.com"}),
    Row(
        route=f"PUT {MANAGE}/clients/{{client}}/redirects",
        answers=operator(200),
        object=lambda things: {"client": things.client_to_revoke},
        body=lambda _: {"redirect_url": None, "redirect_schemes": []},
    ),
    Row(route=f"GET {MANAGE}/staff", answers=operator(200)),
    Row(
        route=f"POST {MANAGE}/staff",
        answers=operator(201),
        body=lambda _: {"id": "new", "name": "New", "roles": ["viewer"]},
    ),
    Row(
        route=f"POST {MANAGE}/staff/{{staff}}/tokens", answers=operator(201), object=lambda _: PERSON, body=lambda _: {}
    ),
    Row(
        route=f"POST {MANAGE}/staff/{{staff}}/tokens/{{key}}/revoke",
        answers=operator(200),
        object=lambda things: {"staff": "kim", "key": things.staff_token},
    ),
    Row(route=f"POST {MANAGE}/staff/{{staff}}/disable", answers=operator(200), object=lambda _: PERSON),
    Row(route=f"POST {MANAGE}/staff/{{staff}}/enable", answers=operator(200), object=lambda _: PERSON),
    Row(
        route=f"POST {MANAGE}/staff/{{staff}}/change",
        answers=operator(200),
        object=lambda _: PERSON,
        body=lambda _: {"roles": ["viewer"]},
    ),
    Row(route=f"GET {MANAGE}/endpoints", answers=operator(200)),
    Row(route=f"GET {MANAGE}/endpoints/{{endpoint}}", answers=operator(200), object=endpoint("the operator's")),
    Row(route=f"GET {MANAGE}/endpoints/{{endpoint}}/attempts", answers=operator(200), object=endpoint("partner A's")),
    Row(route=f"POST {MANAGE}/endpoints", answers=operator(201), body=lambda _: RECEIVER),
    *(
        Row(
            route=f"POST {MANAGE}/endpoints/{{endpoint}}/{path}",
            answers=operator(200),
            object=endpoint("the operator's"),
        )
        for path in ("pause", "resume", "rotate", "test")
    ),
    Row(
        route=f"POST {MANAGE}/endpoints/{{endpoint}}/redeliver",
        answers=operator(202),
        object=endpoint("the operator's"),
        body=lambda _: FAILED,
    ),
    Row(route=f"DELETE {MANAGE}/endpoints/{{endpoint}}", answers=operator(204), object=endpoint("to remove")),
    Row(route=f"GET {PARTNER}/events", answers=subscribers(200)),
    Row(route=f"GET {PARTNER}/endpoints", answers=subscribers(200)),
    Row(route=f"POST {PARTNER}/endpoints", answers=subscribers(201), body=lambda _: RECEIVER),
    *(
        Row(
            route=f"{call} {PARTNER}/endpoints/{{endpoint}}{path}",
            what=f"of {owner}",
            answers=subscribers(404) | ({} if owner == "the operator" else {owner: status}),
            object=endpoint(f"{owner}'s"),
            body=lambda _, body=body: body,
        )
        for owner in ("partner A", "shop A", "the operator")
        for call, path, status, body in (
            ("GET", "", 200, None),
            ("GET", "/attempts", 200, None),
            ("POST", "/pause", 200, None),
            ("POST", "/resume", 200, None),
            ("POST", "/rotate", 200, None),
            ("POST", "/test", 200, None),
            ("POST", "/redeliver", 202, FAILED),
            ("DELETE", "", 204, None),
        )
    ),
    # Pages for everybody. Those of an order are for whoever knows their address, which nobody can guess.
    everybody("GET /etickets/{token}", object=lambda things: {"token": things.etickets}),
    everybody(
        "GET /etickets/{token}", 404, what="with a wrong token", object=lambda things: {"token": things.etickets[:-1]}
    ),
    everybody(
        "GET /etickets/{token}/event.ics",
        404,
        what="of an event without a time",
        object=lambda things: {"token": things.etickets},
    ),
    everybody("GET /payments/{uid}", object=uid("order to pay")),
    everybody("POST /payments/{uid}", 303, object=uid("order to pay")),
    everybody("GET /payments/{uid}", 404, what="of another contract", object=uid("ride")),
    everybody("POST /payments/{uid}", 404, what="of another contract", object=uid("ride")),
    everybody("GET /healthz"),
    everybody("GET /readyz"),
    everybody("GET /metrics"),
    everybody("GET /docs"),
    everybody("GET /docs/{name}", object=lambda _: {"name": "shopping"}),
    everybody("GET /docs/{name}/openapi.json", object=lambda _: {"name": "connect"}),
    everybody("GET /docs/assets/{name}", object=lambda _: {"name": "style.css"}),
    everybody("GET /docs/guides/{name}", object=lambda _: {"name": "operations"}),
    everybody("GET /documentation/{name}", object=lambda _: {"name": "orders.html"}),
]


@pytest_asyncio.fixture(params=["sqlite", "postgres"], loop_scope="module")
async def world(request: pytest.FixtureRequest, services_of_the_file: Services) -> World:
    return await services_of_the_file.world(
        request.param, contracts=ALL, sandbox_payments=True, connect_token_endpoint=True, client_refresh_s=60
    )


async def test_every_route_has_a_row_and_lets_in_only_whom_its_row_names(world: World):
    assert {row.route for row in TABLE} == _routes(world), "a route without a row, or a row without a route"
    callers, things = await callers_and_things(world)
    assert {name for row in TABLE for name in row.answers} <= callers.keys()
    before = await contents(world)

    asked = [(row, name) for row in TABLE for name in callers if row.answers or name in SOME]
    refused = [(row, name) for row, name in asked if row.answers.get(name, row.otherwise) >= 400]
    wrong = [said for row, name in refused if (said := await _is_wrong(world, row, name, callers[name], things))]
    assert wrong == []
    assert not changed(before, await contents(world)), "a refused request changed something"

    let_in = [(row, name) for row, name in asked if row.answers.get(name, row.otherwise) < 400]
    wrong = [said for row, name in let_in if (said := await _is_wrong(world, row, name, callers[name], things))]
    assert wrong == []


async def test_nobody_sees_the_objects_of_others_in_a_list(world: World):
    callers, things = await callers_and_things(world)

    async def text(caller: str, path: str) -> str:
        return (await world.http.get(path, headers=callers[caller])).raise_for_status().text

    code = f"/tickets?event={PUBLIC_URL}/events/{things.uids['event']}&code={things.code}"
    for path, name in (("/orders", "order"), ("/consumers", "consumer"), (code, "ticket")):
        uid_of_a = things.uids[name]
        assert uid_of_a in await text("shop A", path), path
        assert uid_of_a not in await text("shop B", path), path
        assert (uid_of_a in await text("a shop that sees all", path)) is (name != "consumer"), path
        assert things.uids["ride"] not in await text("a shop that sees all", path), path
    id_of_a = f'"id":{things.numbers["order"]},'
    assert (id_of_a in await text("partner A", CONNECT), id_of_a in await text("partner B", CONNECT)) == (True, False)


async def _is_wrong(world: World, row: Row, caller: str, headers: Headers, things: Things) -> str | None:
    method, _, template = row.route.partition(" ")
    path = template.format(**row.object(things)) + row.query(things)
    body = row.body(things)
    reply = await send(world, method, path, headers.items(), b"" if body is None else json.dumps(body).encode())
    expected = row.answers.get(caller, row.otherwise)
    return None if reply.status == expected else f"{row} as {caller}: {reply.status}, not {expected}; {reply.body!r}"


def _routes(world: World) -> set[str]:
    """Method and path of every route of the front and of the framework, pages included."""
    app: Any = world.service.application
    of_front = {f"POST {path}" for path in app.by_path}
    while not isinstance(app, Litestar):
        app = getattr(app, "_rest", None) or app._app
    return of_front | {
        f"{method} {route.path_format}"
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS"
    }
