"""The documents of the operator's and the partners' API describe each event as the dialect `standard` sends it."""

import json
from typing import Any, Final

import msgspec
import pytest
from jsonschema import Draft202012Validator

from architecture.test_openapi import MODULES
from countermand.domain.delivering.endpoint import EndpointEventKind
from countermand.domain.orders.order_events import OrderEventKind, without_people
from support.golden_events import EVENTS, FORMS, rendered

DOCUMENT: Final = msgspec.json.decode(msgspec.json.encode(MODULES["manage"].openapi("http://shop.test", "0")))
WEBHOOKS: Final = DOCUMENT["webhooks"]


OF_PARTNERS: Final = msgspec.json.decode(msgspec.json.encode(MODULES["partner"].openapi("http://shop.test", "0")))


def problems(kind: str, body: Any, document: dict[str, Any] = DOCUMENT) -> list[str]:
    schema = document["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]["schema"]
    checked = Draft202012Validator({**schema, "components": document["components"]})
    return [error.message for error in checked.iter_errors(body)]


def body_of(name: str, form: str = "standard-whole") -> Any:
    found = rendered(EVENTS[name], FORMS[form])
    assert found is not None
    return json.loads(found.body)


def test_there_is_one_for_each_kind_and_partners_see_those_of_orders():
    assert list(WEBHOOKS) == [*OrderEventKind, *EndpointEventKind]
    assert list(OF_PARTNERS["webhooks"]) == [*OrderEventKind]
    others = MODULES.keys() - {"manage", "partner"}
    assert not any("webhooks" in MODULES[name].openapi("http://shop.test", "0") for name in others)


@pytest.mark.parametrize("name", [name for name, event in EVENTS.items() if event.order is not None])
def test_what_is_sent_to_a_partner_names_no_person_and_fits_the_partners_document(name: str):
    body = body_of(name)
    body["data"]["details"] = dict(without_people(body["data"]["details"]))
    assert problems(EVENTS[name].kind, body, OF_PARTNERS) == []


@pytest.mark.parametrize("form", ["standard-whole", "standard-thin"])
@pytest.mark.parametrize("name", EVENTS)
def test_what_is_sent_fits_its_description(name: str, form: str):
    assert problems(EVENTS[name].kind, body_of(name, form)) == []


def test_what_is_not_sent_does_not_fit():
    body = body_of("order.cancelled")
    assert problems("order.expired", body) == ["'order.expired' was expected"]
    del body["data"]["details"]["from"]
    assert problems("order.cancelled", body) == ["'from' is a required property"]
    assert problems("order.cancelled", {"type": "order.cancelled"}) != []


def test_a_field_of_a_newer_version_fits():
    body = body_of("order.cancelled")
    body["data"]["details"]["colour"] = "red"
    assert problems("order.cancelled", body) == []


def test_each_has_a_name_of_its_own_and_says_what_happened():
    operations = [one["post"] for one in WEBHOOKS.values()]
    names = {one["operationId"] for one in operations}
    assert len(names) == len(operations)
    assert not names & {one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()}
    assert {"onOrderCancelled", "onPaymentChargedBack", "onEndpointPaused"} <= names
    for one in operations:
        assert len(one["summary"].split()) > 2
        assert one["tags"] == ["webhooks"]
        assert one["description"]
        assert list(one["responses"]) == ["2XX", "410"]
        assert [header["name"] for header in one["parameters"]][:3] == [
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        ]
