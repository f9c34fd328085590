"""Makes the calls of the management API, as an operator does."""

import re
from typing import Any

import httpx

from support.world import Caller, World

ROOT = "/manage/v1/orders"
VISIT = {"starts_at": "2026-11-23T01:00:00Z", "ends_at": "2026-11-23T05:00:00Z"}
PAYMENT = {"reference": "tx 1", "amount": 25.00, "currency": "EUR"}


async def manage(
    world: World, operator: Caller, method: str, path: str, body: Any = None, **headers: str
) -> httpx.Response:
    """Call `/manage/v1/orders/{path}`. `headers` has names with _ for -. A number at the front is a telecom order's."""
    path = re.sub(r"^(?=[0-9]{1,19}(/|\?|$))", "connect-", path)
    sent = world.manage_headers(operator, **headers)
    return await world.http.request(method, f"{ROOT}/{path}", headers=sent, json=body)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """A problem's status and code; its shape (RFC 9457) is checked on the way."""
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["title"]
    assert said["detail"]
    return answer.status_code, said["code"]


def fields(answer: httpx.Response) -> list[str]:
    """The fields that a 422 names, each with a sentence that names it, too."""
    assert problem(answer) == (422, "invalid_field")
    errors = answer.json()["errors"]
    assert all(error["field"] in error["message"] for error in errors)
    return [error["field"] for error in errors]
