"""Which texts is an order found by, and which ways of writing them are the same?"""

import pytest

from countermand.domain.orders.order import OrderId, OrderUid
from countermand.domain.orders.order_details import ServiceOrderDetails, TicketOrderDetails, UnknownDetails
from countermand.domain.orders.search_handles import (
    Findable,
    handles_of,
    name_in,
    normalised,
    phone_handles,
    words_of,
)
from countermand.domain.privacy import MARKER
from countermand.domain.ticketing.consumer import Consumer


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("  Jo   Citizen ", "jo citizen"),
        ("\u00c9lodie", "elodie"),
        ("E\u0301LODIE", "elodie"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u0141\u00f3d\u017a", "lodz"),
        ("\u0130stanbul", "istanbul"),
        ("\u00c6r\u00f8", "aero"),
        ("\uff2a\uff4f", "jo"),
        ("a\0b", "ab"),
    ],
)
def test_case_accents_and_spaces_do_not_matter(written: str, same: str):
    assert normalised(written) == normalised(same) == normalised(normalised(written))


def test_an_apostrophe_joins_and_other_signs_separate():
    assert words_of("Se\u00e1n O\u2019Brien-Smith (3rd)") == ["sean", "obrien", "smith", "3rd"]
    assert words_of("-- ' --") == []


def test_a_phone_number_is_the_same_with_and_without_the_prefix_of_its_country():
    assert phone_handles("+61 412 345 678")[1] == phone_handles("(0412) 345-678")[1] == "=412345678"
    assert phone_handles("0412345678")[0] == "=0412345678"
    assert [phone_handles(text) for text in ("54", "Jo", "", "0412 x", "++1")] == [[]] * 5


def test_a_service_order_is_found_by_all_that_its_customer_knows():
    details = ServiceOrderDetails(
        contact_name="Jo Citizen",
        contact_email="Jo@Example.com",
        contact_phone="0412 345 678",
        customer_reference="PO 1",
        ntd_name="Ann",
    )
    order = Findable(number=OrderId(54), reference="54", details=details, appointments=(7,), payments=("TX 1",))
    assert handles_of(order) == {
        *("=54", "=7", "=tx 1", "=po 1", "=jo@example.com", "=0412345678", "=412345678"),
        *("~jo", "~citizen", "~ann"),
    }


def test_a_ticket_order_is_found_by_its_consumer_and_by_the_holder_of_each_ticket():
    holder = Consumer(first_name="Zed", email="zed@example.com")
    details = TicketOrderDetails(
        currency="EUR",
        product_total_minor=0,
        service_costs_minor=0,
        grand_total_minor=0,
        consumer=Consumer(first_name="Ann", last_name="d'Arc"),
        ticket_consumers={"t" * 32: holder},
        external_reference="WEB-1",
    )
    order = Findable(uid=OrderUid("a" * 32), reference="9", details=details, tickets=(("t" * 32, "CODE"),))
    assert handles_of(order) == {
        *(f"={'a' * 32}", "=9", f"={'t' * 32}", "=code", "=web-1", "=zed@example.com"),
        *("~ann", "~darc", "~d", "~arc", "~zed"),
    }
    assert name_in(details) == "Ann d'Arc"


def test_an_order_without_details_is_found_by_its_number_alone():
    assert handles_of(Findable(number=OrderId(1), reference="1", details=UnknownDetails())) == {"=1"}
    assert handles_of(Findable(number=OrderId(1), reference="", details=ServiceOrderDetails())) == {"=1"}
    assert name_in(UnknownDetails()) is None
    assert name_in(ServiceOrderDetails()) is None


def test_a_handle_fits_an_index_row_whatever_its_text():
    order = Findable(reference="\U00020000" * 5000, details=ServiceOrderDetails(contact_name="\ufdfa" * 5000))
    assert max(len(handle.encode()) for handle in handles_of(order)) < 1000


def test_nobody_is_found_by_the_word_in_the_place_of_what_was_forgotten():
    gone = dict.fromkeys(("contact_name", "contact_phone", "contact_email", "ntd_name", "customer_reference"), MARKER)
    service = Findable(number=OrderId(54), reference="54", details=ServiceOrderDetails(**gone))
    assert handles_of(service) == {"=54"}
    person = Consumer(first_name=MARKER, last_name=MARKER, email=MARKER, phone_number=MARKER)
    totals = {"product_total_minor": 0, "service_costs_minor": 0, "grand_total_minor": 0}
    details = TicketOrderDetails(currency="EUR", consumer=person, external_reference=MARKER, **totals)
    assert handles_of(Findable(uid=OrderUid("u"), reference="7", details=details)) == {"=u", "=7"}
    known = Findable(number=OrderId(54), reference=MARKER, details=ServiceOrderDetails(contact_name="Never Forgotten"))
    assert handles_of(known) == {"=54", "=forgotten", "~never", "~forgotten"}, "other texts with the word stay"
