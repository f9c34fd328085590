"""What of a stored text is about a person, and what is left of it when the person is forgotten."""

import json

import pytest

from countermand.domain.privacy import MARKER, Person
from countermand.storage.repositories.personal_texts import parts_about, without_person

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
    assert parts_about(json.dumps(document), ANN) == [document["consumer"], document["shipping_address"]]


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
        "locationId": "LOC380100009114",
        "state": "NSW",
        "planName": "Fast",
        "customerReference": "PO 1",
        "term": 1,
    }
    left = json.loads(without_person(json.dumps(document), ANN) or "")
    gone = dict.fromkeys(("contactName", "contactPhone", "contactEmail", "ntdName", "ntdPostcode"), MARKER)
    assert left == document | gone


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
