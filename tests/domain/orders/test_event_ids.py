"""The id of an event is the same for the same event, however its details are written, and another for another event."""

from countermand.domain.orders.event_ids import event_digest, event_id


def test_the_order_of_the_fields_makes_no_difference():
    assert event_digest(5, {"from": "held", "reason": "Zoë"}) == event_digest(5, {"reason": "Zoë", "from": "held"})


def test_another_instant_or_other_details_make_another_digest():
    one = event_digest(5, {"from": "held"})
    assert len({one, event_digest(6, {"from": "held"}), event_digest(5, {"from": "heldx"}), event_digest(5, {})}) == 4


def test_an_id_names_order_version_and_kind_and_has_no_full_stop():
    digest = event_digest(1_764_500_000_000_000, {"state": "submitted"})
    assert (
        event_id("connect-54", 3, "payment.charged_back", digest) == f"evt_connect-54_3_payment_charged_back_{digest}"
    )
    assert len(digest) == 8
    assert int(digest, 16) >= 0
