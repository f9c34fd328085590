from support.processes import Demo


def test_a_demo_cancels_an_order_once_and_then_says_why_not(demo: Demo):
    order_id = demo.json["connect"]["orders"]["cancellable"][0]
    with demo.client(headers=demo.connect_headers()) as http:
        first = http.post("/api/connect/orders/cancel", json={"orderId": order_id})
        second = http.post("/api/connect/orders/cancel", json={"orderId": order_id})
    assert (first.status_code, first.content) == (200, b"")
    assert second.status_code == 422
    assert second.json()["errors"][0]["code"] == "order_not_cancellable"
