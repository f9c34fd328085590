"""The pages that curies and profiles lead to: each there, from this server alone, and short."""

import re
from html import unescape

import pytest

from countermand.contracts.shopping.orders.messages import CreateRequest
from countermand.web.pages.link_relations import RELATIONS
from support.shared_world import shared_sqlite_world
from support.world import PUBLIC_URL, World, a_world

sqlite_world = shared_sqlite_world

_ROW = re.compile(
    r'<th scope="row"><code>(.*?)</code></th><td>(.*?)</td><td>(.*?)</td><td class="about">(.*?)</td></tr>'
)
_LINK = re.compile(r"""\b(?:href|src)=["']([^"']*)["']""")


async def test_every_page_is_there_and_says_what_it_is_about(sqlite_world: World):
    for name, relation in RELATIONS.items():
        page = await sqlite_world.http.get(f"/documentation/{name}.html")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8"), name
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.text.count("<h1>") == 1
        assert f"<h1>{relation.title}</h1>" in page.text
        assert all(f"<code>{call.replace('&', '&amp;')}</code>" in page.text for call in relation.calls)
        assert "<script" not in page.text
        for link in _LINK.findall(page.text):
            if link.startswith("#"):
                assert f'id="{link[1:]}"' in page.text, (name, link)
                continue
            assert link.startswith("/"), link
            assert (await sqlite_world.http.get(link)).status_code == 200, link


async def test_a_page_names_every_field_of_its_resource(sqlite_world: World):
    for name, relation in RELATIONS.items():
        page = (await sqlite_world.http.get(f"/documentation/{name}.html")).text
        if relation.message is not None:
            for field in relation.message.__struct_encode_fields__:
                assert f'<th scope="row"><code>{field}</code></th>' in page, (name, field)


async def test_a_page_explains_every_field_parameter_and_object_inside_with_a_sentence(sqlite_world: World):
    for name in RELATIONS:
        page = (await sqlite_world.http.get(f"/documentation/{name}.html")).text
        for field, types, always, meaning in _ROW.findall(page):
            assert types.strip(), (name, field)
            assert always in {"yes", "no"}, (name, field)
            assert re.search(r"\w.*\.$", meaning), (name, field, meaning)
        assert "`" not in page


async def test_a_page_explains_what_its_calls_take_and_leads_to_them_on_the_page_of_the_api(sqlite_world: World):
    operations = (await sqlite_world.http.get("/docs/shopping/openapi.json")).json()["paths"]
    for name, relation in RELATIONS.items():
        page = (await sqlite_world.http.get(f"/documentation/{name}.html")).text
        for call in relation.calls:
            method, path = call.partition("?")[0].split(" ")
            operation = operations[path][method.lower()]
            assert f'href="/docs/shopping#/{operation["tags"][0]}/{operation["operationId"]}"' in page, (name, call)
            assert operation["summary"] in unescape(page)
            for parameter in operation["parameters"]:
                assert f"<code>{parameter['name']}</code>" in page, (name, call, parameter["name"])
    page = (await sqlite_world.http.get("/documentation/orders.html")).text
    for field in CreateRequest.__struct_encode_fields__:
        assert f'<th scope="row"><code>{field}</code></th>' in page, field


async def test_a_page_tells_what_is_always_there_from_what_is_not(sqlite_world: World):
    page = (await sqlite_world.http.get("/documentation/order.html")).text
    always = {field: said for field, _, said, _ in _ROW.findall(page)}
    assert (always["grand_total"], always["redirect_url"]) == ("yes", "no")


@pytest.mark.parametrize("name", ["nothing.html", "event", "event.htm", "..%2Fpages.html", "EVENT.html", ".html"])
async def test_there_is_no_other_page(sqlite_world: World, name: str):
    assert (await sqlite_world.http.get(f"/documentation/{name}")).status_code == 404


async def test_an_operator_may_lead_to_pages_elsewhere(tmp_path):
    async with a_world(tmp_path, shopping_documentation_url="https://docs.example.com/shop/") as world:
        links = (await world.http.get("/")).json()["_links"]
    assert links["curies"][0]["href"] == "https://docs.example.com/shop/{rel}.html"
    assert links["profile"]["href"] == "https://docs.example.com/shop/root.html"
    assert links["self"]["href"] == f"{PUBLIC_URL}/"
