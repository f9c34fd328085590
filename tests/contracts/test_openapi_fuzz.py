"""Whatever fits a document, and whatever does not, gets an answer that the document describes, and never a 5xx."""

import base64
import functools
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import RSAKey
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from countermand.contracts.connect.tokens import FORM
from countermand.contracts.http.openapi import ACTING_AS
from support.arranged import SLOT, BookingTerms
from support.connect_calls import SERVICE_ORDER
from support.own_tokens import TOKEN, form
from support.processes import Demo, a_demo

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_ENOUGH = 3  # things to aim at
_SAME_EVERY_TIME = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=12,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# With the operator's own system, what clients ask about appointments waits to be answered over the management API.
_APPOINTMENTS = {
    "connect": "calendar",
    "manage": "remote",
    "partner": "calendar",
    "shopping": "calendar",
    "tokens": "calendar",
}
_AT_ONCE = ("connect", GenerationMode.POSITIVE)  # before each commit; the rest takes minutes


_EVERYTHING = [
    pytest.param(part, mode, id=f"{part}-{mode}", marks=[] if (part, mode) == _AT_ONCE else pytest.mark.slow)
    for part in _APPOINTMENTS
    for mode in GenerationMode
]


@pytest.fixture(scope="module")
def demo_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Demo]]:
    """Gives the demo whose appointments are kept by a calendar or by a remote system; each is started once.

    Where a remote system keeps them, an override needs two persons.
    """
    with ExitStack() as stack:

        @functools.cache
        def started(appointments: str) -> Demo:
            folder = tmp_path_factory.mktemp("fuzz") / "demo"
            needs_two = "true" if appointments == "remote" else "false"
            environment = {"COUNTERMAND_APPOINTMENTS": appointments, "COUNTERMAND_OVERRIDE_NEEDS_TWO": needs_two}
            return stack.enter_context(a_demo(folder, environment=environment))

        yield started


@pytest.mark.parametrize(("part", "mode"), _EVERYTHING)
def test_every_answer_is_one_that_the_document_describes(
    demo_with: Callable[[str], Demo], part: str, mode: GenerationMode
):
    running = demo_with(_APPOINTMENTS[part])
    document = schemathesis.openapi.from_url(f"{running.base_url}/docs/{part}/openapi.json")
    credential = _credential(running, part)
    seen: dict[str, set[int]] = {}
    with requests.Session() as session:
        session.trust_env = False
        for found in document.get_all_operations():
            operation = found.ok()
            if mode is GenerationMode.NEGATIVE and not operation.body and not list(operation.iter_parameters()):
                continue  # nothing goes in that could be wrong
            targets = _targets(running, part, operation.label)
            aimed = st.sampled_from(targets).flatmap(functools.partial(_aimed, operation, mode))
            cases = operation.as_strategy(generation_mode=mode) | aimed
            if "{client}" in operation.label:  # one that was there before may be the client that asks
                cases = cases.filter(functools.partial(_is_new_client, min(target["client"] for target in targets)))
            seen[operation.label] = _answers(cases, session, credential)
    assert [label for label, statuses in seen.items() if statuses <= {401}] == []
    if mode is GenerationMode.POSITIVE:
        never = [label for label, statuses in seen.items() if min(statuses) >= 300]
        assert never == [], "\n".join(never)


def _is_new_client(first_new: int, case: schemathesis.Case) -> bool:
    named = str((case.path_parameters or {}).get("client")).strip()
    return not named.isdecimal() or int(named) >= first_new


def _answers(
    cases: st.SearchStrategy[schemathesis.Case], session: requests.Session, credential: dict[str, str]
) -> set[int]:
    """Send the cases, check each answer against the document, and give the statuses that came."""
    statuses = set()

    @_SAME_EVERY_TIME
    @given(case=cases)
    def probe(case: schemathesis.Case) -> None:
        response = case.call(session=session, headers=credential)
        statuses.add(response.status_code)
        case.validate_response(response, checks=_CHECKS, headers=credential)

    probe()
    return statuses


def _aimed(operation: Any, mode: GenerationMode, target: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Cases that name something that is there, as far as the operation names anything."""
    names = {parameter.name for parameter in operation.path_parameters}
    fixed: dict[str, Any] = {}
    if in_path := {name: value for name, value in target.items() if name in names}:
        fixed["path_parameters"] = in_path
    if operation.label in _QUERIES and mode is GenerationMode.POSITIVE:
        fixed["query"] = _QUERIES[operation.label](target)
    if mode is GenerationMode.POSITIVE and any(one.name == ACTING_AS for one in operation.headers):
        fixed["headers"] = {}  # no person has an id that is made up
    if operation.label in _BODIES and mode is GenerationMode.POSITIVE:
        media_type = FORM if operation.label == _TOKEN else "application/json"
        fixed |= {"body": _BODIES[operation.label](target), "media_type": media_type}
    return operation.as_strategy(generation_mode=mode, **fixed)


_RECEIVER = "http://127.0.0.1:9/events"  # nobody listens there
_TOKEN = f"POST {TOKEN}"
_BODIES = {
    _TOKEN: lambda target: form(target["assertion"]),
    "POST /api/connect/orders/cancel": lambda target: {"orderId": target["id"]},
    "POST /manage/v1/orders/{id}/payments": lambda target: {
        "reference": f"for {target['id']}",
        "amount": 12.5,
        "currency": "EUR",
    },
    "POST /manage/v1/orders/{id}/payments/{reference}/void": lambda _: {"reason": "mistyped"},
    "POST /manage/v1/orders/{id}/payments/{reference}/assign": lambda target: {"order": target["other"], "reason": "r"},
    "POST /manage/v1/orders/{id}/refunds": lambda _: _money_gone(),
    "POST /manage/v1/orders/{id}/refunds/{reference}/failed": lambda _: {"reason": "came back"},
    "POST /manage/v1/orders/{id}/chargebacks": lambda _: _money_gone(),
    "POST /manage/v1/orders/{id}/restore": lambda _: {"reason": "mistaken"},
    "POST /manage/v1/orders/{id}/moves": lambda _: {"move": "accept"},
    "POST /manage/v1/privacy/export": lambda _: {"email": "nobody.at.all@example.com"},
    "POST /manage/v1/privacy/forget": lambda _: {"email": "nobody.at.all@example.com"},
    "POST /manage/v1/orders/{id}/appointments": lambda _: _visit_on("2030-01-01"),
    "PUT /manage/v1/orders/{id}/appointments/{appointment}": lambda _: _visit_on("2030-01-02"),
    "POST /manage/v1/orders/{id}/appointment-tasks/{task}/answer": lambda _: {"slots": [_offered()]},
    "PUT /manage/v1/calendar/slots": lambda _: {"slots": [SLOT]},
    "POST /api/connect/orders/create": lambda _: SERVICE_ORDER,
    "POST /api/connect/orders/appointment-requests/request": lambda target: {
        "orderId": target["id"],
        "dateFrom": "2030-01-01",
    },
    "POST /api/connect/orders/appointment-requests/cancel": lambda target: {"appointmentRequestId": target["id"]},
    "POST /api/connect/orders/appointments/request": lambda target: {
        "appointmentRequestId": target["id"],
        "slotId": SLOT["id"],
    },
    "POST /api/connect/orders/appointment-cancellations/request": lambda target: {"appointmentId": target["id"]},
    **{
        f"POST /{root}/v1/endpoints{path}": given
        for root in ("manage", "partner")
        for path, given in {
            "": lambda _: {"url": _RECEIVER},
            "/{endpoint}/rotate": lambda _: {"revoke_old_now": True},
            "/{endpoint}/redeliver": lambda _: {"failed_since": "2026-11-21T00:00:00Z"},
        }.items()
    },
    "PUT /manage/v1/catalogue": lambda _: {"products": [], "methods": []},
    "POST /ordercancellation/": lambda target: {"order": target["uri"], "reason": "because"},
    "POST /ordercancellation": lambda target: {"order": target["uri"], "reason": "because"},
    "POST /orders": lambda target: {
        "products": target["products"],
        "consumer": {},
        "payment_method": target["method"],
    },
    "POST /bill": lambda target: {"products": target["products"], "consumer": {"country": "NL"}},
}
_QUERIES = {
    "GET /bill": lambda target: {"products": [f"{one['product']},{one['quantity']}" for one in target["products"]]},
    "GET /tickets": lambda target: {"event": target["event"], "code": target["code"]},
    **{f"GET /{root}/v1/endpoints/{{endpoint}}/attempts": lambda _: {"limit": 2} for root in ("manage", "partner")},
    "GET /events": lambda _: {"title__startswith": "C"},
    "GET /products": lambda _: {"price__gte": "1", "page": 1},
}


# What the number in an address or body is of, where it is not an order of the demo: each of a new order.
_ARRANGED: dict[str, Callable[[BookingTerms], int]] = {
    "POST /api/connect/orders/appointment-requests/request": lambda it: it.order(),
    "POST /api/connect/orders/appointment-requests/cancel": lambda it: it.offer(it.order()),
    "GET /api/connect/orders/appointment-requests/requests/{id}": lambda it: it.offer(it.order()),
    "POST /api/connect/orders/appointments/request": lambda it: it.offer(it.order()),
    "GET /api/connect/orders/appointments/requests/{id}": lambda it: it.booking(it.offer(it.order())),
    "GET /api/connect/orders/appointments/{id}": lambda it: it.appointment(it.booking(it.offer(it.order()))),
    "POST /api/connect/orders/appointment-cancellations/request": lambda it: it.appointment(
        it.booking(it.offer(it.order()))
    ),
    "GET /api/connect/orders/appointment-cancellations/requests/{id}": lambda it: it.cancellation(
        it.appointment(it.booking(it.offer(it.order())))
    ),
}


def _targets(demo: Demo, part: str, label: str) -> list[dict[str, Any]]:
    """Orders of the demo in states of every kind (what the operator cancels is nobody else's), or what is new."""
    if part == "tokens":
        return [{"assertion": _assertion(demo)} for _ in range(3)]
    if label in {"GET /events/{uid}", "GET /products/{uid}"}:
        made = demo.json["shopping"]
        uris = [made["event"]] if "event" in label else list(made["products"].values())
        return [{"uid": uri.rsplit("/", 1)[1]} for uri in uris]
    number = 0 if part != "manage" else 1 if label.endswith("/cancel") else 2
    if label == "POST /ordercancellation":  # the other spelling of the path has cancelled the first ones
        number = 1
    connect = [ids[number] for ids in demo.json["connect"]["orders"].values()]
    shopping = [uris[number] for uris in demo.json["shopping"]["orders"].values()]
    uids = [uri.rsplit("/", 1)[1] for uri in shopping]
    with demo.client() as http:
        if (made_anew := _made_anew(label, http, demo)) is not None:
            return made_anew
        if part in {"connect", "partner"}:
            return [{"id": order_id} for order_id in connect]
        if part == "manage":
            names = [*(f"connect-{order_id}" for order_id in connect), *uids]
            return [{"id": name, "appointment": _visit(http, demo, name)} for name in names]
        headers = _credential(demo, part)
        sample = http.get(f"/orders/{uids[0]}", headers=headers).json()
        kept = http.post("/consumers", json={"first_name": "Jo"}, headers=headers).json()
    ticket = sample["_embedded"]["shop:ticket"][0]
    uid_of_kind = {"tickets": ticket["uid"], "consumers": kept["uid"]}
    named = uid_of_kind.get(label.split("/")[1])
    wanted = {
        "products": sample["product_selection"],
        "method": sample["payment_method"]["uid"],
        "event": demo.json["shopping"]["event"],
        "code": ticket["code"],
    }
    return [{"uid": named or uid, "uri": uri, **wanted} for uid, uri in zip(uids, shopping, strict=True)]


def _new_client(http: httpx.Client, demo: Demo) -> int:
    given = {"contract": "shopping", "name": "one more"}
    made = http.post("/manage/v1/clients", json=given, headers=demo.manage_headers())
    return int(made.json()["client"]["id"])


def _new_client_or_endpoint(label: str, http: httpx.Client, demo: Demo) -> dict[str, Any]:
    if "{client}" in label:
        return {"client": _new_client(http, demo)}
    part = "partner" if "/partner/" in label else "manage"
    made = http.post(f"/{part}/v1/endpoints", json={"url": _RECEIVER}, headers=_credential(demo, part))
    return {"endpoint": made.json()["id"]}


def _new_person(http: httpx.Client, demo: Demo, role: str = "viewer") -> dict[str, Any]:
    """A new person with a token."""
    headers, staff_id = demo.manage_headers(), f"kim.{uuid4().hex}"
    given = {"id": staff_id, "name": "Kim", "roles": [role]}
    assert http.post("/manage/v1/staff", json=given, headers=headers).status_code == 201
    made = http.post(f"/manage/v1/staff/{staff_id}/tokens", json={}, headers=headers)
    return {"staff": staff_id, "key": made.json()["key"], "token": made.json()["token"]}


def _about_people(label: str, http: httpx.Client, demo: Demo, booking: BookingTerms) -> dict[str, Any]:
    """A person or an approval: the caller can withdraw its own, and confirm that of another person."""
    if "{approval}" in label:
        return _asked_override(http, demo, booking, by_caller=not label.endswith("/confirm"))
    return _new_person(http, demo)


def _asked_override(http: httpx.Client, demo: Demo, booking: BookingTerms, *, by_caller: bool) -> dict[str, Any]:
    """An approval that the person whose token the calls have asked for, or another person."""
    path = f"/manage/v1/orders/connect-{booking.order()}"
    starts_at = datetime.now(UTC) + timedelta(hours=2)
    visit = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=4)).isoformat()}
    assert http.post(f"{path}/appointments", json=visit, headers=demo.manage_headers()).is_success
    token = demo.json["manage"]["author_token"] if by_caller else _new_person(http, demo, "author")["token"]
    wanted = {"reason": "r", "override": ["appointment_within_notice"]}
    asked = http.post(f"{path}/cancel", json=wanted, headers={"Authorization": f"Bearer {token}"})
    assert asked.status_code == 202, asked.text
    return {"approval": asked.json()["approval"]}


def _made_anew(label: str, http: httpx.Client, demo: Demo) -> list[dict[str, Any]] | None:
    """Things of its own, for a call that would spoil the demo's, or finds none there."""
    booking, several = BookingTerms(demo, http), range(_ENOUGH)
    if label in _ARRANGED:
        booking.load_calendar()
        return [{"id": _ARRANGED[label](booking)} for _ in several]
    if "{client}" in label or "{endpoint}" in label:
        return [_new_client_or_endpoint(label, http, demo) for _ in several]
    if "{staff}" in label or "{approval}" in label:
        return [_about_people(label, http, demo, booking) for _ in several]
    if "{task}" in label:
        new = [booking.order() for _ in several]
        return [{"id": f"connect-{order_id}", "task": booking.offer(order_id)} for order_id in new]
    if "{reference}" in label or label.endswith(("/refunds", "/chargebacks")):
        how = {"is_late": label.endswith("/assign"), "is_refunded": label.endswith("/failed")}
        return [_paid_order(http, demo, booking, **how) for _ in several]
    if label.endswith("/restore"):
        return [_cancelled_order(http, demo, booking) for _ in several]
    if label.endswith("/{appointment}/state"):
        return [_order_with_visit(http, demo, booking.order()) for _ in several]
    return None


def _visit(http: httpx.Client, demo: Demo, name: str) -> int:
    """The order's appointment, or one that is not there."""
    shown = http.get(f"/manage/v1/orders/{name}", headers=demo.manage_headers()).json()
    return shown["appointments"][0]["id"] if shown["appointments"] else 1


def _order_with_visit(http: httpx.Client, demo: Demo, order: int) -> dict[str, Any]:
    path = f"/manage/v1/orders/connect-{order}/appointments"
    made = http.post(path, json=_visit_on("2030-01-01"), headers=demo.manage_headers()).json()
    return {"id": f"connect-{order}", "appointment": made["id"]}


def _paid_order(
    http: httpx.Client, demo: Demo, booking: BookingTerms, *, is_late: bool, is_refunded: bool
) -> dict[str, Any]:
    """An order with a payment, which may be late, or refunded in part under its own reference; and another order."""
    name, reference = f"connect-{booking.order()}", f"psp/{uuid4().hex}"
    headers, path = demo.manage_headers(), f"/manage/v1/orders/{name}"
    if is_late:
        assert http.post(f"{path}/cancel", json={"reason": "r"}, headers=headers).is_success
    paid = {"reference": reference, "amount": 25, "currency": "EUR"}
    http.post(f"{path}/payments", json=paid, headers=headers)
    if is_refunded:
        refund = {**_money_gone(), "reference": reference}
        assert http.post(f"{path}/refunds", json=refund, headers=headers).is_success
    return {"id": name, "reference": reference, "other": f"connect-{booking.order()}"}


def _cancelled_order(http: httpx.Client, demo: Demo, booking: BookingTerms) -> dict[str, Any]:
    """An order that the operator has just cancelled."""
    name = f"connect-{booking.order()}"
    answer = http.post(f"/manage/v1/orders/{name}/cancel", json={"reason": "r"}, headers=demo.manage_headers())
    assert answer.is_success
    return {"id": name}


def _money_gone() -> dict[str, Any]:
    return {"reference": uuid4().hex, "amount": 0.5, "currency": "EUR", "reason": "because"}


def _offered() -> dict[str, Any]:
    return {name: value for name, value in SLOT.items() if name != "capacity"}


def _visit_on(day: str) -> dict[str, str]:
    return {"starts_at": f"{day}T01:00:00Z", "ends_at": f"{day}T05:00:00Z"}


def _assertion(demo: Demo) -> str:
    """Good once: what comes of the second time is described, too."""
    given, now_s = demo.json["connect"], int(time.time())
    key = RSAKey.import_key(Path(given["private_key_file"]).read_bytes())
    claims = {"iss": given["client_id"], "sub": given["client_id"], "aud": given["token_url"], "exp": now_s + 600}
    head = {"alg": "RS256", "kid": given["key_id"]}
    return jwt.encode(head, claims | {"jti": secrets.token_hex(8)}, key, algorithms=["RS256"])


def _credential(demo: Demo, part: str) -> dict[str, str]:
    if part == "shopping":
        given = demo.json["shopping"]
        pair = base64.b64encode(f"{given['key']}:{given['secret']}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    if part == "manage":
        return {"Authorization": f"Bearer {demo.json['manage']['author_token']}"}  # who may do all
    if part == "tokens":
        return {}
    return {"Authorization": f"Bearer {demo.json['connect']['access_token']}"}
