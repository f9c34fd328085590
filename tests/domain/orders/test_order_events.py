"""The order of the events of one version of an order."""

from countermand.domain.orders.order_events import ORDER_WITHIN_A_VERSION, OrderEventKind, place_in_version


def test_every_kind_has_one_place():
    assert sorted(ORDER_WITHIN_A_VERSION) == sorted(OrderEventKind)


def test_money_comes_before_the_order_and_the_order_before_its_visits_and_what_is_due():
    told = ["refund.due", "order.cancelled", "appointment.cancelled", "payment.recorded"]
    assert sorted(told, key=place_in_version) == [
        "payment.recorded",
        "order.cancelled",
        "appointment.cancelled",
        "refund.due",
    ]


def test_kinds_of_newer_versions_come_last_by_name():
    told = ["zone.left", "appointment.called", "refund.due"]
    assert sorted(told, key=place_in_version) == ["refund.due", "appointment.called", "zone.left"]
