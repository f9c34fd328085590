"""Arranges things over the connect contract with a running demo: orders, slots offered, visits booked."""

from dataclasses import dataclass
from typing import Any

import httpx

from support.connect_calls import SERVICE_ORDER
from support.processes import Demo

ORDERS = "/api/connect/orders"
SLOT = {
    "id": "2030-01-01-AM",
    "starts_at": "2030-01-01T08:00:00+11:00",
    "ends_at": "2030-01-01T12:00:00+11:00",
    "capacity": 100_000,
}


@dataclass
class BookingTerms:
    """Asks as a partner would."""

    demo: Demo
    http: httpx.Client

    def order(self) -> int:
        return int(self._post("/create", SERVICE_ORDER).json()["id"])

    def offer(self, order_id: int) -> int:
        """Slots asked for: the number of the request."""
        return self._number("/appointment-requests/request", {"orderId": order_id, "dateFrom": "2029-12-31"})

    def booking(self, offer_id: int) -> int:
        """One of them booked: the number of the booking."""
        return self._number("/appointments/request", {"appointmentRequestId": offer_id, "slotId": SLOT["id"]})

    def appointment(self, booking_id: int) -> int:
        """What was booked."""
        return int(self._get(f"/appointments/requests/{booking_id}").json()["id"])

    def cancellation(self, appointment_id: int) -> int:
        """Asked to be cancelled: the number of the cancellation."""
        return self._number("/appointment-cancellations/request", {"appointmentId": appointment_id})

    def load_calendar(self) -> None:
        """The operator has a slot with room for everybody."""
        headers = self.demo.manage_headers()
        loaded = self.http.put("/manage/v1/calendar/slots", json={"slots": [SLOT]}, headers=headers)
        assert loaded.status_code == 200, loaded.text

    def _number(self, path: str, body: dict[str, Any]) -> int:
        return int(self._post(path, body).headers["location"].rpartition("/")[2])

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        answer = self.http.post(ORDERS + path, json=body, headers=self.demo.connect_headers())
        assert answer.status_code == 201, answer.text
        return answer

    def _get(self, path: str) -> httpx.Response:
        answer = self.http.get(ORDERS + path, headers=self.demo.connect_headers())
        assert answer.status_code == 200, answer.text
        return answer
