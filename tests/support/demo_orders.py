"""Cancels a demo's orders as its clients would, and reads whether the orders are cancelled."""

import sqlite3
from contextlib import closing

import httpx

from support.processes import Demo


def cancel_service_order(http: httpx.Client, demo: Demo, order_id: int, token: str = "access_token") -> httpx.Response:
    headers = demo.connect_headers(token)
    return http.post("/api/connect/orders/cancel", json={"orderId": order_id}, headers=headers)


def cancel_ticket_order(http: httpx.Client, demo: Demo, uri: str, caller: str = "") -> httpx.Response:
    """`caller` is what stands before `key` and `secret` in demo.json."""
    shopping = demo.json["shopping"]
    auth = (shopping[f"{caller}key"], shopping[f"{caller}secret"])
    return http.post("/ordercancellation/", json={"order": uri, "reason": "The buyer asked"}, auth=auth)


def is_cancelled(demo: Demo, order_id: int) -> bool:
    with closing(sqlite3.connect(demo.database)) as connection:
        state = connection.execute("SELECT state FROM orders WHERE id = ?", [order_id]).fetchone()
        record = connection.execute("SELECT count(*) FROM cancellations WHERE order_id = ?", [order_id]).fetchone()
    assert (state == ("cancelled",)) is (record == (1,))
    return bool(record[0])
