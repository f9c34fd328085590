"""An address that leads nowhere: a program hears that the path is wrong, and a browser gets a page that leads on."""

import re
from pathlib import Path
from typing import Any

import pytest

from support.shared_world import shared_sqlite_world
from support.world import PUBLIC_URL, World, a_world

sqlite_world = shared_sqlite_world

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PATHS = ("/nothing", "/api/connect/ordres/1", "/manage/v1/nothing", "/docs/nothing", "/documentation/nothing.html")


@pytest.mark.parametrize(
    ("path", "listed", "media_type"),
    [
        ("/nothing", "shopping", "application/json"),
        ("/orders/1/2/3", "shopping", "application/json"),
        ("/api/connect/ordres/1", "connect", "application/json"),
        ("/manage/v1/nothing", "manage", "application/problem+json"),
        ("/docs/nothing", "shopping", "application/json"),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/hal+json,text/html;q=0.5"])
async def test_a_program_hears_that_the_path_is_wrong_and_not_the_order(
    sqlite_world: World, path: str, listed: str, media_type: str, accept: str
):
    for method in ("GET",) if path.startswith("/docs") else ("GET", "POST"):
        answer = await sqlite_world.http.request(method, path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (404, media_type)
        said = message_of(answer.json())
        assert said.startswith(f'no call has the path "{path}"')
        assert f"{PUBLIC_URL}/docs/{listed} lists the calls" in said
        assert "order" not in said.replace(path, "")


async def test_an_order_that_does_not_exist_is_still_told_apart_from_a_wrong_path(sqlite_world: World):
    me = await sqlite_world.shopping_client()
    answer = await sqlite_world.http.get(f"/orders/{'0' * 32}", headers=sqlite_world.shopping_headers(me))
    assert (answer.status_code, answer.json()["message"]) == (404, "Not found. The order was not found.")


@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_gets_a_page_with_links_onward(sqlite_world: World, path: str):
    page = await sqlite_world.http.get(path, headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert path in page.text
    links = [link for link in re.findall('href="(/[^"]*)"', page.text) if "assets" not in link]
    assert {"/docs", "/docs/connect", "/docs/shopping", "/docs/manage"} <= set(links)
    for link in links:
        assert (await sqlite_world.http.get(link)).status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


async def test_what_a_caller_wrote_into_the_path_is_text_and_no_markup(sqlite_world: World):
    page = await sqlite_world.http.get("/<script>alert(1)</script>", headers=BROWSER)
    assert page.status_code == 404
    assert "<script" not in page.text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/connect/orders/create", "POST"),
        ("DELETE", "/orders", "GET, POST"),
        ("PUT", "/docs", "GET"),
    ],
)
async def test_a_method_that_an_address_does_not_take_is_answered_alike_with_those_that_it_takes(
    sqlite_world: World, method: str, path: str, allow: str
):
    page = await sqlite_world.http.request(method, path, headers=BROWSER)
    told = await sqlite_world.http.request(method, path, headers={"Accept": "*/*"})
    assert (page.status_code, told.status_code) == (405, 405)
    assert (page.headers["allow"], told.headers["allow"]) == (allow, allow)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert told.headers["content-type"] == "application/json"
    assert allow in page.text
    assert allow in message_of(told.json())


async def test_the_page_of_an_order_takes_a_press_of_the_button_and_says_so(tmp_path: Path):
    async with a_world(tmp_path, sandbox_payments=True) as world:
        answer = await world.http.put(f"/payments/{'0' * 32}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


def message_of(told: dict[str, Any]) -> str:
    """The sentence of an error, in the shape of any contract."""
    errors = told.get("errors") or [{}]
    return told.get("detail") or told.get("message") or errors[0]["message"]
