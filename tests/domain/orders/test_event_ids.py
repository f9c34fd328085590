"""The id of an event is the same for the same event, and another for another event."""

from countermand.domain.orders.event_ids import event_digest, event_id


def test_another_instant_or_other_details_make_another_digest():
    one = event_digest(5, b'{"from":"held"}')
    assert one == event_digest(5, b'{"from":"held"}')
    assert (
        len({one, event_digest(6, b'{"from":"held"}'), event_digest(5, b'{"from":"heldx"}'), event_digest(5, b"{}")})
        == 4
    )


def test_an_id_names_order_version_and_kind_and_has_no_full_stop():
    digest = event_digest(1_764_500_000_000_000, b'{"state":"submitted"}')
    assert (
        event_id("connect-54", 3, "payment.charged_back", digest) == f"evt_connect-54_3_payment_charged_back_{digest}"
    )
    assert len(digest) == 8
    assert int(digest, 16) >= 0
