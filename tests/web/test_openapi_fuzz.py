"""Whatever fits a document, and whatever does not, gets an answer that the document describes, and never a 5xx."""

import base64
import functools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support.processes import Demo, a_demo

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_SAME_EVERY_TIME = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=20,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("fuzz") / "demo") as demo:
        yield demo


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("part", ["connect", "manage", "shopping"])
def test_every_answer_is_one_that_the_document_describes(running: Demo, part: str, mode: GenerationMode):
    document = schemathesis.openapi.from_url(f"{running.base_url}/docs/{part}/openapi.json")
    credential = _credential(running, part)
    seen: dict[str, set[int]] = {}
    with requests.Session() as session:
        session.trust_env = False
        for found in document.get_all_operations():
            operation = found.ok()
            targets = st.sampled_from(_targets(running, part, operation.label))
            aimed = targets.flatmap(functools.partial(_aimed, operation, mode))
            seen[operation.label] = _answers(operation.as_strategy(generation_mode=mode) | aimed, session, credential)
    assert [label for label, statuses in seen.items() if statuses <= {401}] == []
    if mode is GenerationMode.POSITIVE:
        assert [label for label, statuses in seen.items() if min(statuses) >= 300] == []


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
    if operation.label in _BODIES and mode is GenerationMode.POSITIVE:
        fixed |= {"body": _BODIES[operation.label](target), "media_type": "application/json"}
    return operation.as_strategy(generation_mode=mode, **fixed)


_BODIES = {
    "POST /api/connect/orders/cancel": lambda target: {"orderId": target["id"]},
    "POST /manage/v1/orders/{id}/payments": lambda target: {
        "reference": f"for {target['id']}",
        "amount": 12.5,
        "currency": "EUR",
    },
    "POST /manage/v1/orders/{id}/appointments": lambda _: _visit_on("2030-01-01"),
    "PUT /manage/v1/orders/{id}/appointments/{appointment}": lambda _: _visit_on("2030-01-02"),
    "POST /ordercancellation/": lambda target: {"order": target["uri"], "reason": "because"},
    "POST /orders": lambda target: {
        "products": target["products"],
        "consumer": {},
        "payment_method": target["method"],
    },
}


def _targets(demo: Demo, part: str, label: str) -> list[dict[str, Any]]:
    """Orders of the demo in states of every kind: what the operator cancels is nobody else's."""
    number = 0 if part != "manage" else 1 if label.endswith("/cancel") else 2
    connect = [ids[number] for ids in demo.json["connect"]["orders"].values()]
    shopping = [uris[number] for uris in demo.json["shopping"]["orders"].values()]
    uids = [uri.rsplit("/", 1)[1] for uri in shopping]
    with demo.client() as http:
        if part == "connect":
            return [{"id": order_id} for order_id in connect]
        if part == "manage":
            return [{"id": str(one), "appointment": _visit(http, demo, one)} for one in [*connect, *uids]]
        sample = http.get(f"/orders/{uids[0]}", headers=_credential(demo, part)).json()
    wanted = {"products": sample["product_selection"], "method": sample["payment_method"]["uid"]}
    return [{"uid": uid, "uri": uri, **wanted} for uid, uri in zip(uids, shopping, strict=True)]


def _visit(http: httpx.Client, demo: Demo, order: int | str) -> int:
    """The order's appointment, or one that is not there."""
    shown = http.get(f"/manage/v1/orders/{order}", headers=demo.manage_headers()).json()
    return shown["appointments"][0]["id"] if shown["appointments"] else 1


def _visit_on(day: str) -> dict[str, str]:
    return {"starts_at": f"{day}T01:00:00Z", "ends_at": f"{day}T05:00:00Z"}


def _credential(demo: Demo, part: str) -> dict[str, str]:
    if part == "shopping":
        given = demo.json["shopping"]
        pair = base64.b64encode(f"{given['key']}:{given['secret']}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    if part == "manage":
        return {"Authorization": f"Bearer {demo.json['manage']['token']}"}
    return {"Authorization": f"Bearer {demo.json['connect']['access_token']}"}
