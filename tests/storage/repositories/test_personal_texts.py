"""What of a stored text is about a person, and what is left of it when the person is forgotten."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect

from countermand.contracts.connect.messages import AppointmentContact
from countermand.contracts.shopping.messages import ShownConsumer
from countermand.contracts.shopping.orders.messages import WholeConsumer
from countermand.domain.orders.order_details import ServiceOrderDetails, TicketOrderDetails
from countermand.domain.privacy import MARKER, Person
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.repositories.personal_texts import REMOVED, REPLACED, names_in, parts_about, without_person

# The fields of text that stay when a person is forgotten, because they say nothing about the person, or name something
# that accounting needs. A field that is new in a document goes here, or among the personal ones.
KEPT = {
    "ServiceOrderDetails": {
        *("sourceType", "remoteQualificationSearchId", "qualificationSearchId", "locationId", "planName"),
        *("aggregationMethod", "customerReference", "quoteName", "remoteOrderId", "trafficClass", "productType"),
        *("restorationSla", "infrastructureId", "avcIdForTransfer", "transferType", "ntdInstallation", "ntdOption"),
    },
    "PlanSnapshot": {"one_time_charge", "monthly_charge"},
    "TicketOrderDetails": {
        *("external_reference", "redirect_url", "currency", "vouchers", "etickets_token", "order_token"),
        *("payment_url", "etickets_url"),
    },
    "ExternalPurchase": {"title", "product_reference", "currency"},
    "ChosenMethod": {"uid", "name", "image", "currency", "pickup_location"},
    "Seat": {"section", "row"},
    "Consumer": {"uid"},
    # What stored answers show, if it has other names than the document.
    "ShownConsumer": {"uid"},
    "WholeConsumer": {"uid"},
    "Link": {"href", "type", "name"},
}
ANN = Person("Ann.Lee+1@Example.com")
EMAIL = "ann.lee+1@example.com"


@pytest.mark.parametrize("text", [EMAIL, EMAIL.upper(), f"write to <{EMAIL}>.", f"({EMAIL}) rang", f"mailto:{EMAIL}"])
def test_a_text_that_mentions_the_address_is_replaced_as_a_whole(text: str):
    assert without_person(text, ANN) == MARKER
    assert parts_about(text, ANN) == [{"text": text}]


@pytest.mark.parametrize(
    "text",
    ["", "Ann Lee rang", f"jo{EMAIL}", f"x.{EMAIL}", f"{EMAIL}.au", f"{EMAIL}x", "ann.lee@example.com", "{", "[1, {}]"],
)
def test_a_text_with_another_address_stays(text: str):
    assert without_person(text, ANN) is None
    assert parts_about(text, ANN) == []


def test_of_an_order_the_buyer_goes_and_amounts_ids_and_other_persons_stay():
    friend = {"first_name": "Bo", "last_name": "Lee", "email": "bo@example.com", "country": "NL"}
    document = {
        "consumer": {
            "uid": "a" * 32,
            "first_name": "Ann",
            "last_name": "Lee",
            "email": EMAIL.upper(),
            "gender": 2,
            "date_of_birth": "1990-01-01",
            "country": "NL",
            "phone_number": "1",
            "ip": "::1",
            "new": 7,
        },
        "shipping_address": {"address": "Kade 1", "country": "NL"},
        "ticket_consumers": {"t1": {"first_name": "Ann", "last_name": "Lee", "country": "NL"}, "t2": friend},
        "grand_total_minor": 1250,
        "external_reference": "INV-7",
    }
    left = json.loads(without_person(json.dumps(document), ANN) or "")
    assert left == {
        "consumer": {
            "uid": "a" * 32,
            "first_name": MARKER,
            "last_name": MARKER,
            "email": MARKER,
            "phone_number": MARKER,
            "new": 7,
        },
        "shipping_address": {"address": MARKER, "country": MARKER},
        "ticket_consumers": {"t1": {"first_name": MARKER, "last_name": MARKER}, "t2": friend},
        "grand_total_minor": 1250,
        "external_reference": "INV-7",
    }
    assert without_person(json.dumps(left), ANN) is None, "a repeat changes nothing"
    of_ann = [document["consumer"], document["shipping_address"], document["ticket_consumers"]["t1"]]
    assert parts_about(json.dumps(document), ANN) == of_ann


def test_a_friend_who_got_a_ticket_goes_and_the_buyer_stays():
    buyer = {"first_name": "Bo", "last_name": "Lee", "email": "bo@example.com"}
    document = {
        "consumer": buyer,
        "shipping_address": {"city": "Oslo"},
        "ticket_consumers": {"t": {"first_name": "Ann", "email": EMAIL}},
    }
    left = json.loads(without_person(json.dumps(document), ANN) or "")
    assert left == document | {"ticket_consumers": {"t": {"first_name": MARKER, "email": MARKER}}}


def test_of_a_telecom_order_the_contact_goes_and_the_service_stays():
    document = {
        "contactName": "Ann Lee",
        "contactPhone": "04",
        "contactEmail": EMAIL,
        "ntdName": "Ann",
        "ntdPostcode": "1",
        "ntdState": "NSW",
        "locationId": "LOC380100009114",
        "state": "NSW",
        "planName": "Fast",
        "customerReference": "PO 1",
        "term": 1,
    }
    left = json.loads(without_person(json.dumps(document), ANN) or "")
    gone = dict.fromkeys(("contactName", "contactPhone", "contactEmail", "ntdName", "ntdPostcode"), MARKER)
    assert left == {name: one for name, one in (document | gone).items() if name != "ntdState"}


def test_a_stored_answer_is_searched_inside_and_its_numbers_stay_as_they_were_written():
    body = f'{{"total":{{"amount":12.50}},"consumer":{{"first_name":"Ann","email":"{EMAIL}"}}}}'
    stored = json.dumps({"status": 201, "headers": [["etag", "1"]], "body": body})
    left = json.loads(without_person(stored, ANN) or "")
    assert (left["status"], left["headers"]) == (201, [["etag", "1"]])
    assert left["body"] == f'{{"total":{{"amount":12.50}},"consumer":{{"first_name":"{MARKER}","email":"{MARKER}"}}}}'
    assert parts_about(stored, ANN) == [{"first_name": "Ann", "email": EMAIL}]


def test_a_text_in_an_events_details_that_mentions_the_person_goes_alone():
    details = {"reason": f"{EMAIL} asked", "number": 12345678901234567890, "amount": 1.10}
    assert without_person(json.dumps(details), ANN) == (
        f'{{"reason":"{MARKER}","number":12345678901234567890,"amount":1.1}}'
    )
    assert parts_about(json.dumps(details), ANN) == [{"text": f"{EMAIL} asked"}]


def test_addresses_that_are_not_ascii_or_escaped_are_found():
    zoe = Person("ZOË@bücher.example")
    assert without_person(json.dumps({"email": "zoë@BÜCHER.example"}), zoe) == f'{{"email":"{MARKER}"}}'


def test_each_field_of_text_is_personal_or_kept_on_purpose():
    decided = {name: KEPT.get(name, set()) | ((REPLACED | REMOVED) & texts) for name, texts in texts_of_documents()}
    assert decided == dict(texts_of_documents())
    personal = set().union(*(texts for _, texts in texts_of_documents())) - set().union(*KEPT.values())
    assert personal | {"gender"} == REPLACED | REMOVED, "gender is a number"
    assert not REPLACED & REMOVED


def test_the_contact_of_a_visit_stands_in_answers_under_names_of_its_own_and_without_an_address():
    # So nobody is found in a stored answer with a contact, which goes when its Idempotency-Key does (docs/desk.md).
    assert [one.name for one in inspect.type_info(AppointmentContact).fields] == ["name", "type", "phone", "notes"]


def texts_of_documents() -> list[tuple[str, set[str]]]:
    roots = (ServiceOrderDetails, TicketOrderDetails, Consumer, ShownConsumer, WholeConsumer)
    return [found for one in roots for found in texts_in(inspect.type_info(one))]


def texts_in(type_info: Any) -> Iterator[tuple[str, set[str]]]:
    """The structs in a type, by name, each with the names of its fields of text."""
    match type_info:
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            yield type_info.cls.__name__, {one.encode_name for one in type_info.fields if is_text(one.type)}
            for one in type_info.fields:
                yield from texts_in(one.type)
        case inspect.UnionType():
            for one in type_info.types:
                yield from texts_in(one)
        case inspect.Metadata():
            yield from texts_in(type_info.type)
        case inspect.ListType() | inspect.VarTupleType():
            yield from texts_in(type_info.item_type)
        case inspect.DictType():
            yield from texts_in(type_info.value_type)


def is_text(type_info: Any) -> bool:
    match type_info:
        case inspect.StrType() | inspect.LiteralType() | inspect.DateType() | inspect.AnyType() | inspect.RawType():
            return True
        case inspect.UnionType():
            return any(is_text(one) for one in type_info.types)
        case inspect.Metadata():
            return is_text(type_info.type)
        case inspect.ListType() | inspect.VarTupleType():
            return is_text(type_info.item_type)
        case inspect.DictType():
            return is_text(type_info.value_type)
    return False


DOCUMENTS = [
    {"consumer": {"first_name": "Ann", "email": EMAIL}, "ticket_consumers": {"t": {"first_name": "Ann"}}},
    {
        "consumer": {"first_name": "Ann", "last_name": "Lee", "email": EMAIL},
        "shipping_address": {"address": "Kade 1", "state": "GR"},
        "ticket_consumers": {"t": {"first_name": "Ann", "last_name": "Lee", "phone_number": "06"}},
        "external_reference": f"for {EMAIL}",
        "inner": json.dumps({"body": json.dumps([{"email": EMAIL.upper(), "city": "Oslo"}, f"ask {EMAIL}"])}),
    },
    {"contactEmail": EMAIL, "contactName": "Ann", "ntdState": "NSW", "customerReference": f"{EMAIL} 1"},
    {"cognito_user": EMAIL, "date_of_birth": "1990-01-01"},
    {"contact": f" {EMAIL} "},
    [EMAIL, {"a": [f"<{EMAIL}>"]}],
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_export_shows_whatever_a_forgetting_replaces(document: Any):
    text = json.dumps(document)
    left = without_person(text, ANN)
    assert left is not None
    replaced = Counter(leaves(document)) - Counter(leaves(json.loads(left)))
    assert EMAIL in str(replaced).lower()
    assert replaced <= Counter(leaves(list(parts_about(text, ANN))))
    assert (without_person(left, ANN), parts_about(left, ANN)) == (None, []), "a repeat finds nothing"


def leaves(value: Any) -> Iterator[Any]:
    """The values in a document that are no objects and lists; those of JSON in a text, too."""
    match value:
        case dict():
            yield from leaves(list(value.values()))
        case list():
            for one in value:
                yield from leaves(one)
        case str() if value.startswith(("{", "[")):
            yield from leaves(json.loads(value))
        case _:
            yield value


def test_the_names_in_a_text_are_its_ids_and_uids_at_any_depth():
    body = json.dumps(
        {"uid": "u1", "consumer": {"uid": "u2"}, "_embedded": {"shop:ticket": [{"uid": "u3"}]}, "x": "u4"}
    )
    assert names_in(json.dumps({"body": body, "id": 54, "order_id": "shopping-u1"})) == {
        "u1",
        "u2",
        "u3",
        "54",
        "shopping-u1",
    }
    assert names_in("u1") == frozenset()
