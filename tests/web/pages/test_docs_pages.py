"""The pages about the calls, and the questions whether the service is alive and ready."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31
from sqlalchemy import delete, insert, text

from countermand.storage.schema import NEWEST_SCHEMA
from countermand.storage.tables.schema import schema_notes
from support.breakage import without_its_database
from support.postgres import drop
from support.shared_world import shared_sqlite_world
from support.world import PUBLIC_URL, World, a_world

sqlite_world = shared_sqlite_world

_PARTS = ("connect", "manage", "partner", "shopping")
_METHODS = {"get", "post", "put", "delete"}
_FOR_ALL = ("/", "/status")
_PAGES = ("/docs", *(f"/docs/{part}" for part in _PARTS))

_LINK = re.compile(r"""\b(?:href|src|data-document)=["']([^"']*)["']""")
_CSS_LINK = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@pytest.mark.parametrize("path", _PAGES)
async def test_a_page_and_all_it_leads_to_come_from_this_server_alone(sqlite_world: World, path: str):
    page = await sqlite_world.http.get(path)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    _is_guarded(page.headers)
    links = _LINK.findall(page.text)
    assert "/docs/assets/favicon.svg" in links
    assert [urlsplit(link).netloc for link in links] == [""] * len(links)
    assert "//" not in re.sub(r"https?://shop\.test", "", page.text).replace("<!doctype", "")
    for link in links:
        assert (await sqlite_world.http.get(link)).status_code == 200, link
        if link.endswith(".css"):
            await _style_stays_here(sqlite_world, link)


async def test_the_index_names_every_part_with_its_page_and_its_document(sqlite_world: World):
    index = (await sqlite_world.http.get("/docs")).text
    for part in _PARTS:
        assert f'href="/docs/{part}"' in index
        assert f'href="/docs/{part}/openapi.json"' in index


async def test_a_reader_shows_its_own_document_and_runs_no_script_inline(sqlite_world: World):
    for part in _PARTS:
        page = (await sqlite_world.http.get(f"/docs/{part}")).text
        assert f'data-document="/docs/{part}/openapi.json"' in page
        assert re.findall(r"<script(?! src=)", page) == []
        assert re.findall(r"\son\w+=", page) == []


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("favicon.svg", "image/svg+xml"),
        ("style.css", "text/css"),
        ("reader.css", "text/css"),
        ("docs.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
    ],
)
async def test_an_asset_is_served_as_what_it_is_and_may_be_kept(sqlite_world: World, name: str, media_type: str):
    asset = await sqlite_world.http.get(f"/docs/assets/{name}")
    assert (asset.status_code, asset.headers["content-type"]) == (200, media_type)
    assert "max-age" in asset.headers["cache-control"]
    _is_guarded(asset.headers)
    assert asset.content
    if name.endswith(".svg"):
        assert set(re.findall(r"https?://[^\"']+", asset.text)) == {"http://www.w3.org/2000/svg"}


async def test_nothing_else_is_served_as_an_asset_or_a_page(sqlite_world: World):
    for path in [
        "/docs/assets/nothing.js",
        "/docs/assets/../pages.py",
        "/docs/assets/..%2Fpages.py",
        "/docs/assets/%2e%2e%2fpages.py",
        "/docs/assets/__init__.py",
        "/docs/nothing",
        "/docs/nothing/openapi.json",
        "/docs/connect/nothing.json",
    ]:
        answer = await sqlite_world.http.get(path)
        assert answer.status_code == 404, path
        assert "import" not in answer.text


async def test_a_browser_is_led_from_the_root_to_the_pages_and_a_program_is_not(sqlite_world: World):
    led = await sqlite_world.http.get("/", headers={"Accept": "text/html,*/*"})
    assert (led.status_code, led.headers["location"]) == (302, "/docs")
    for accepted in ("application/json", "application/hal+json", "*/*"):
        told = await sqlite_world.http.get("/", headers={"Accept": accepted})
        assert (told.status_code, told.headers["content-type"]) == (200, "application/hal+json")


@pytest.mark.parametrize("part", _PARTS)
async def test_a_document_is_valid_openapi_and_each_schema_in_it_a_valid_schema(sqlite_world: World, part: str):
    document = await _document(sqlite_world, part)
    Draft202012Validator(OPENAPI_31).validate(document)
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= schemas


@pytest.mark.parametrize("part", _PARTS)
async def test_a_document_names_this_server_its_security_and_each_operation_once(sqlite_world: World, part: str):
    document = await _document(sqlite_world, part)
    (server,) = document["servers"]
    assert server["url"] == PUBLIC_URL  # whole: Postman and generators read saved documents
    schemes = list(document["components"]["securitySchemes"])
    assert len(schemes) == (2 if part == "partner" else 1)  # a partner has the credential of one contract or another
    operations = _operations(document)
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names) > 0
    for path, _, operation in operations:
        assert operation["security"] == ([] if path in _FOR_ALL else [{scheme: []} for scheme in schemes])
        in_path = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)
        assert {"500", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize("part", _PARTS)
async def test_whatever_is_described_is_served(sqlite_world: World, part: str):
    """Without credentials, each call knows itself: 401, never 404 or 405."""
    for path, method, _ in _operations(await _document(sqlite_world, part)):
        filled = path.replace("{uid}", "0" * 32)
        answer = await sqlite_world.http.request(method, re.sub(r"{\w+}", "1", filled))
        assert answer.status_code == (200 if path in _FOR_ALL else 401), (method, path)


async def test_what_is_published_is_described(sqlite_world: World):
    described = {
        (method.upper(), path)
        for part in _PARTS
        for path, method, _ in _operations(await _document(sqlite_world, part))
    }
    assert {
        ("POST", "/api/connect/orders/cancel"),
        ("POST", "/api/connect/orders/create"),
        ("GET", "/api/connect/orders/{id}"),
        ("POST", "/ordercancellation/"),
        ("POST", "/ordercancellation"),
        ("POST", "/orders"),
        ("GET", "/orders/{uid}"),
        ("GET", "/"),
        ("GET", "/status"),
        ("GET", "/events"),
        ("GET", "/events/{uid}"),
        ("GET", "/products"),
        ("GET", "/products/{uid}"),
        ("POST", "/manage/v1/orders/{id}/cancel"),
    } <= described


# alive, and ready


async def test_a_service_that_runs_is_alive_and_ready(both_worlds: World):
    alive, ready = await both_worlds.http.get("/healthz"), await both_worlds.http.get("/readyz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_without_its_database_it_is_alive_but_not_ready_and_says_why_until_it_is_back(world: World):
    with without_its_database(world):
        for _ in range(2):
            await _is_unready(world, "the database cannot be used")
        assert not world.settings.database_path.exists(), "the question must not make a database"
    # A question that was still being answered is not asked twice, so the first answer may be an old one.
    assert 200 in [(await world.http.get("/readyz")).status_code for _ in range(2)]


async def test_on_a_database_that_is_gone_for_good_it_is_not_ready(postgres_world: World):
    url = postgres_world.settings.database_url
    assert url is not None
    drop(urlsplit(url.get_secret_value()).path.removeprefix("/"))
    await _is_unready(postgres_world, "the database cannot be used")


@pytest.mark.parametrize("table", ["schema_notes", "orders", "alembic_version"])
async def test_on_a_database_that_has_lost_its_tables_it_is_not_ready_or_needs_them_not(world: World, table: str):
    async with world.database.store.transaction() as tx:
        await tx.run(text(f"ALTER TABLE {table} RENAME TO elsewhere"))
    if table == "alembic_version":  # it is for migrations alone
        assert (await world.http.get("/readyz")).status_code == 200
    else:
        await _is_unready(world, "the database cannot be used")


@pytest.mark.parametrize(
    ("number", "oldest_code", "ready"),
    [(1, 0, True), (1, 1, False), (5, 0, True), (5, 1, False), (-1, -1, False)],
)
async def test_it_is_ready_on_a_newer_schema_only_where_that_says_it_works_with_this_version(
    world: World, number: int, oldest_code: int, *, ready: bool
):
    async with world.database.store.transaction() as tx:
        await tx.run(delete(schema_notes))
        noted = {"number": NEWEST_SCHEMA + number, "oldest_code": NEWEST_SCHEMA + oldest_code}
        await tx.run(insert(schema_notes).values(**noted))
    if ready:
        assert (await world.http.get("/readyz")).status_code == 200
    else:
        await _is_unready(world, "another schema")


async def test_on_a_file_that_is_no_database_it_is_not_ready(sqlite_world: World):
    for path in sqlite_world.folder.glob("test.sqlite3*"):
        path.unlink()
    sqlite_world.settings.database_path.write_text("no database " * 100)
    await _is_unready(sqlite_world, "the database cannot be used")


async def test_a_service_stopped_at_any_moment_of_its_start_stops_in_peace(tmp_path: Path):
    for turns in range(0, 40, 3):
        async with a_world(tmp_path):
            for _ in range(turns):
                await asyncio.sleep(0)


async def _is_unready(world: World, why: str) -> None:
    """503 with the reason, in words for anybody: where the files are is nobody's business."""
    answer = await world.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert int(answer.headers["retry-after"]) > 0
    assert why in answer.json()["reason"]
    assert str(world.folder) not in answer.text
    assert (await world.http.get("/healthz")).status_code == 200


async def _document(world: World, part: str) -> dict[str, Any]:
    answer = await world.http.get(f"/docs/{part}/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return json.loads(answer.content)


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    ]


def _references(value: Any) -> list[str]:
    """Every $ref in a document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [one for inner in value.values() for one in _references(inner)]
    return [one for inner in value for one in _references(inner)] if isinstance(value, list) else []


def _is_guarded(headers: Any) -> None:
    """The browser is told to fetch from here alone."""
    policy = dict(one.strip().split(" ", 1) for one in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


async def _style_stays_here(world: World, link: str) -> None:
    style = (await world.http.get(link)).text
    named = [one or other for one, other in _CSS_LINK.findall(style)]
    fetched = [name for name in named if not name.startswith(("data:", "#"))]
    assert [urlsplit(urljoin(PUBLIC_URL, name)).netloc for name in fetched] == ["shop.test"] * len(fetched)
