"""Only a demo has credentials on its pages, and only a browser on the demo's machine sees them."""

import httpx
import pytest

from countermand.bootstrap.service import build
from countermand.web.pages.sample_credentials import SampleCredential, shown_at
from support.shared_world import shared_sqlite_world
from support.world import World

sqlite_world = shared_sqlite_world
TOKEN, SECRET = "a-token-of-the-demo", "a-secret-of-the-demo"
CREDENTIALS = (
    SampleCredential(api="connect", scheme="bearer", token=TOKEN),
    SampleCredential(api="shopping", scheme="basic", user="the-key", password=SECRET),
)


async def pages(world: World, host: str, credentials: tuple[SampleCredential, ...]) -> dict[str, httpx.Response]:
    service = build(world.settings, world.database, "http://127.0.0.1:8080", clock=world.clock, credentials=credentials)
    transport = httpx.ASGITransport(service.application)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http:
        return {
            path: await http.get(path, headers={"Host": host})
            for path in ("/docs", "/docs/connect", "/docs/shopping", "/docs/manage")
        }


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
async def test_the_pages_of_a_demo_have_its_credentials_filled_in(sqlite_world: World, host: str):
    shown = await pages(sqlite_world, host, CREDENTIALS)

    assert TOKEN in shown["/docs"].text
    assert SECRET in shown["/docs"].text
    assert f'data-token="{TOKEN}"' in shown["/docs/connect"].text
    assert f'data-password="{SECRET}"' in shown["/docs/shopping"].text
    assert SECRET not in shown["/docs/connect"].text
    assert "data-scheme" not in shown["/docs/manage"].text
    assert {one.status_code for one in shown.values()} == {200}
    assert {one.headers["cache-control"] for one in shown.values()} == {"no-store"}


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8080", "192.168.0.7:8080", "", "[", "127.0.0.1@evil.example"]
)
async def test_another_host_name_shows_no_credential(sqlite_world: World, host: str):
    assert shown_at(host, CREDENTIALS) == ()
    if host:
        shown = await pages(sqlite_world, host, CREDENTIALS)
        assert [path for path, one in shown.items() if TOKEN in one.text or SECRET in one.text] == []


async def test_a_service_that_is_no_demo_shows_no_credential(sqlite_world: World):
    shown = await pages(sqlite_world, "127.0.0.1:8080", ())

    assert "Credentials of this demo" not in shown["/docs"].text
    assert [path for path, one in shown.items() if "data-scheme" in one.text] == []


def test_a_credential_is_not_in_its_own_text():
    assert [one for one in CREDENTIALS if TOKEN in repr(one) or SECRET in repr(one)] == []
