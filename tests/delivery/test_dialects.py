"""Each dialect says the events in its own words, and always in the same bytes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from countermand.actions.delivering.dialects import Dialects, EventToSend, RenderedEvent, ShownOrder
from countermand.bootstrap.events_out import dialects_of, order_shower
from countermand.contracts.registry import CONTRACTS
from countermand.delivery.dialects import STANDARD_DIALECTS, cloudevents, standard
from countermand.delivery.dialects.event_data import RESERVED
from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, EndpointEventKind, Subscription
from countermand.domain.orders.order_state import OrderState
from support.fairground.contract import CONTRACT as FAIRGROUND
from support.golden_events import (
    DEPLOYMENT,
    DIALECTS,
    EVENTS,
    FORMS,
    GOLDEN,
    SECRET_TOKEN,
    SHOWN,
    golden_file,
    rendered,
    service_order,
    ticket_order,
)

CANCELLED = EVENTS["order.cancelled"]
OF_TICKETS = EVENTS["order.cancelled of tickets"]


def said(event: EventToSend, subscription: Subscription) -> RenderedEvent:
    found = rendered(event, subscription)
    assert found is not None
    return found


def body(event: EventToSend, form: str) -> Any:
    return json.loads(said(event, FORMS[form]).body)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_dialect_says_is_byte_for_byte_what_the_golden_file_has(form: str):
    assert golden_file(form) == (GOLDEN / f"{form}.json").read_text(encoding="utf-8"), "`make examples` writes it again"


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == {f"{form}.json" for form in FORMS}


def test_the_golden_events_have_every_kind():
    assert {event.kind for event in EVENTS.values()} == {*SUBSCRIBABLE_KINDS, EndpointEventKind.TEST}


@pytest.mark.parametrize("dialect", STANDARD_DIALECTS, ids=lambda dialect: dialect.name)
def test_the_dialects_of_standards_say_every_kind_of_this_version_and_no_other(dialect):
    assert dialect.kinds == {*SUBSCRIBABLE_KINDS, "endpoint.test"}
    assert all(dialect.says(event.kind, event.details) for event in EVENTS.values())
    assert not dialect.says("order.merged", {})
    assert dialect.contract is None


@pytest.mark.parametrize("view", [service_order(OrderState.HELD), ticket_order(OrderState.PENDING)])
@pytest.mark.parametrize("thin", [False, True])
def test_no_field_of_a_contracts_order_has_a_reserved_name(view, thin: bool):  # noqa: FBT001 - a case
    shown = order_shower([*CONTRACTS, FAIRGROUND], DEPLOYMENT)(view)
    assert shown is not None
    fields = shown.link if thin else shown.whole
    assert fields
    assert not RESERVED & fields.keys()


def test_the_order_of_every_contract_is_looked_at_for_reserved_names():
    views = {one.order.contract for one in (service_order(OrderState.HELD), ticket_order(OrderState.PENDING))}
    assert views == {one.name for one in CONTRACTS}
    ride = replace(ticket_order(OrderState.PENDING).order, contract=FAIRGROUND.name)
    shown = order_shower([FAIRGROUND], DEPLOYMENT)(replace(ticket_order(OrderState.PENDING), order=ride))
    assert shown is not None
    assert not RESERVED & {*shown.whole, *shown.link}


def test_standard_has_the_events_version_and_that_of_the_shown_order():
    assert CANCELLED.shown is not None
    told = body(CANCELLED, "standard-whole")
    assert list(told) == ["type", "timestamp", "data"]
    assert (told["type"], told["timestamp"]) == ("order.cancelled", "2026-11-30T12:00:00.000005Z")
    data = told["data"]
    assert (data["order"], data["version"], data["current_version"]) == ("connect-54", 4, 5)
    assert data["details"] == {"from": "accepted", "reason": "bought elsewhere, “cheaper”", "approved_by": None}
    assert data.keys() - RESERVED == CANCELLED.shown.whole.keys()
    assert data["status"] == "cancelled"


def test_thin_data_has_a_link_instead_of_the_order():
    assert body(CANCELLED, "standard-thin")["data"].keys() - RESERVED == {"id", "href"}
    tickets = body(OF_TICKETS, "standard-thin")["data"]
    assert tickets.keys() - RESERVED == {"_links"}
    assert tickets["_links"] == {"self": {"href": "https://orders.example/orders/87a2195h3gd162fb35c5a3dbd7bapo1l"}}
    assert tickets["current_version"] == 4


def test_an_event_about_an_endpoint_has_no_order():
    data = body(EVENTS["endpoint.paused"], "standard-whole")["data"]
    assert data.keys() == RESERVED
    assert (data["order"], data["version"], data["current_version"]) == (None, None, None)
    assert data["details"]["reason"] == "the receiver answered 410"


def test_an_order_of_a_contract_that_is_not_here_is_named_and_not_shown():
    data = body(EVENTS["order.placed of a contract that is not here"], "standard-whole")["data"]
    assert data.keys() == RESERVED
    assert (data["order"], data["version"], data["current_version"]) == ("connect-54", 4, None)
    view = service_order(OrderState.HELD)
    elsewhere = replace(view, order=replace(view.order, contract=ContractName("museum")))
    assert SHOWN(elsewhere) is None
    assert SHOWN(view) is not None


@pytest.mark.parametrize(
    ("form", "largest"),
    [
        ("standard-whole", standard.LARGEST_BODY),
        ("cloudevents-binary-whole", cloudevents.LARGEST_BODY),
        ("cloudevents-structured-whole", cloudevents.LARGEST_BODY),
    ],
)
def test_an_order_that_is_too_large_is_sent_as_a_link(form: str, largest: int):
    def of_size(length: int) -> EventToSend:
        shown = ShownOrder(version=5, whole={"text": "x" * length}, link={"href": "here"})
        return replace(CANCELLED, shown=shown)

    rest = len(said(of_size(0), FORMS[form]).body)
    fits, is_larger = [said(of_size(largest - rest + more), FORMS[form]).body for more in (0, 1)]
    assert (len(fits), b'"href":"here"' in fits) == (largest, False)
    assert b'"href":"here"' in is_larger
    assert b"xxx" not in is_larger


@pytest.mark.parametrize("form", ["standard-whole", "cloudevents-structured-whole"])
def test_the_bytes_do_not_depend_on_the_order_in_which_a_database_returns_fields(form: str):
    backwards = replace(CANCELLED, details=dict(reversed(CANCELLED.details.items())))
    assert list(backwards.details) != list(CANCELLED.details)
    assert said(backwards, FORMS[form]).body == said(CANCELLED, FORMS[form]).body


def test_cloudevents_says_the_same_in_both_modes():
    for event in EVENTS.values():
        binary, structured = (
            said(event, FORMS["cloudevents-binary-whole"]),
            said(event, FORMS["cloudevents-structured-whole"]),
        )
        assert (binary.content_type, structured.content_type) == ("application/json", "application/cloudevents+json")
        assert structured.headers == ()
        whole = json.loads(structured.body)
        assert whole.pop("data") == json.loads(binary.body)
        assert whole.pop("datacontenttype") == "application/json"
        assert {f"ce-{name}": value for name, value in whole.items()} == dict(binary.headers)


def test_the_attributes_of_cloudevents():
    headers = dict(said(CANCELLED, FORMS["cloudevents-binary-whole"]).headers)
    assert headers == {
        "ce-specversion": "1.0",
        "ce-id": CANCELLED.id,
        "ce-source": "https://orders.example",
        "ce-type": "countermand.order.cancelled",
        "ce-time": "2026-11-30T12:00:00.000005Z",
        "ce-subject": "connect-54",
    }
    of_endpoint = dict(said(EVENTS["endpoint.failing"], FORMS["cloudevents-binary-whole"]).headers)
    assert of_endpoint["ce-subject"] == "ep_0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("connect-54", "connect-54"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),  # the example of the HTTP binding
        ('50% "off"\n', "50%25%20%22off%22%0A"),
        ("!~\x7f", "!~%7F"),
    ],
)
def test_a_header_has_blanks_quotes_percents_and_other_than_printable_ascii_encoded(text: str, header: str):
    assert cloudevents.header_value(text) == header


def test_an_order_in_an_event_has_no_token_that_reading_the_order_does_not_show():
    for form in FORMS:
        assert SECRET_TOKEN not in golden_file(form)


def test_a_node_has_the_dialects_of_the_standards_and_of_its_contracts_alone():
    assert list(DIALECTS.by_name) == ["standard", "cloudevents", "connect"]
    assert list(dialects_of([FAIRGROUND]).by_name) == ["standard", "cloudevents"]


def test_two_dialects_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two dialects have the same name"):
        Dialects([*STANDARD_DIALECTS, *STANDARD_DIALECTS])
