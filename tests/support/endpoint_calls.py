"""Makes the calls of the management API on endpoints, as an operator does."""

from typing import Any

import httpx

from support.manage_calls import problem
from support.world import Caller, World

ENDPOINTS = "/manage/v1/endpoints"
URL = "https://receiver.example/events"


async def call(
    world: World, operator: Caller, method: str, path: str = "", body: Any = None, **headers: str
) -> httpx.Response:
    sent = world.manage_headers(operator, **headers)
    return await world.http.request(method, f"{ENDPOINTS}{path}", headers=sent, json=body)


async def an_endpoint(world: World, operator: Caller, **given: Any) -> dict[str, Any]:
    added = await call(world, operator, "POST", "", {"url": URL, **given})
    assert added.status_code == 201, added.text
    return added.json()


def said(answer: httpx.Response) -> dict[str, str]:
    assert problem(answer) == (422, "invalid_field")
    return {one["field"]: one["message"] for one in answer.json()["errors"]}
