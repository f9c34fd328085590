"""People that a shop keeps, so that its orders can name them."""

import pytest_asyncio

from countermand.domain.client import Permission
from support.database_contents import changed, contents
from support.shared_world import shared_world
from support.shopping_calls import kind
from support.ticket_shop import Shop, a_shop
from support.world import EVERYTHING, PUBLIC_URL, World

world = shared_world

_JOHN = {"first_name": "John", "last_name": "Doe", "email": "john@example.com", "gender": 1, "country": "NL"}


@pytest_asyncio.fixture(loop_scope="module")
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _kept(shop: Shop, **given: object) -> dict[str, object]:
    answer = await shop.post("/consumers", given)
    assert answer.status_code == 201
    assert answer.headers["location"] == answer.json()["_links"]["self"]["href"]
    return answer.json()


async def test_a_consumer_reads_as_it_was_given(shop: Shop):
    kept = await _kept(shop, **_JOHN)
    shown = (await shop.get(f"/consumers/{kept['uid']}")).json()
    assert shown == kept
    assert {name: value for name, value in shown.items() if name not in {"_links", "uid"}} == _JOHN


async def test_an_order_can_name_a_consumer_and_keeps_what_it_said(shop: Shop):
    uid, kept = await shop.product(), await _kept(shop, **_JOHN)
    pay = await shop.pay_by(required_consumer_fields=("email",), countries=("NL",))
    by_uid = {"consumer": {"uid": kept["uid"], "ip": "192.0.2.1"}, "payment_method": pay}
    assert (await shop.bill({uid: 1}, **by_uid)).status_code == 200
    made = (await shop.order({uid: 1}, **by_uid)).json()
    assert made["consumer"] == {"uid": kept["uid"], **_JOHN, "ip": "192.0.2.1"}
    assert len(await shop.world.rows("consumers")) == 1
    revised = {"uid": kept["uid"], "email": "new@example.com"}
    later = (await shop.order({uid: 1}, consumer=revised, payment_method=pay)).json()["consumer"]
    assert later["uid"] != kept["uid"]
    assert later == {**_JOHN, "email": "new@example.com", "uid": later["uid"]}
    assert (await shop.get(f"/consumers/{kept['uid']}")).json()["email"] == "john@example.com"
    assert (await shop.get(made["_links"]["self"]["href"])).json()["consumer"] == made["consumer"]
    assert len(await shop.world.rows("consumers")) == 2


async def test_anothers_consumer_is_as_unknown_as_one_that_is_not_there(shop: Shop):
    uid, kept = await shop.product(), await _kept(shop, **_JOHN)
    other = await shop.world.shopping_client()
    before = await contents(shop.world)
    for who, consumer in [(other, kept["uid"]), (shop.caller, "0" * 32)]:
        assert kind(await shop.get(f"/consumers/{consumer}", who)) == (404, "NOT_FOUND")
        for path in ("/orders", "/bill"):
            body = shop.body({uid: 1}, consumer={"uid": consumer})
            assert kind(await shop.post(path, body, who)) == (400, "BAD_REQUEST")
        assert kind(await shop.post("/consumers", {"uid": consumer, "city": "Assen"}, who)) == (400, "BAD_REQUEST")
    assert (await shop.get("/consumers", other)).json()["item_count"] == 0
    assert not changed(before, await contents(shop.world))


async def test_consumers_are_found_by_what_is_said_of_them(shop: Shop):
    john = await _kept(shop, **_JOHN, date_of_birth="1986-12-30")
    jane = await _kept(shop, **_JOHN | {"first_name": "Jane", "gender": 2}, date_of_birth="1990-01-01")
    bare = await _kept(shop)

    async def found(**query: str | list[str]) -> list[object]:
        shown = (await shop.get("/consumers", **query)).json()
        return [one["uid"] for one in shown["_embedded"]["shop:consumer"]]

    assert sorted(await found()) == sorted(one["uid"] for one in (john, jane, bare))
    assert await found(first_name="Jane") == await found(gender="2") == [jane["uid"]]
    assert await found(first_name="Jan") == []
    assert sorted(await found(first_name__startswith="J")) == sorted([john["uid"], jane["uid"]])
    assert await found(date_of_birth__lt="1990-01-01") == [john["uid"]]
    assert await found(date_of_birth__gte="1990-01-01") == [jane["uid"]]
    assert await found(gender=["0", "2"]) == [jane["uid"]]
    assert len(await found(gender=["1", "2"])) == 2
    assert await found(first_name=["Jane", "Nobody"]) == [jane["uid"]]
    answer = await shop.get("/consumers", gender="3")
    assert (kind(answer), answer.json()["errors"][0]["path"]) == ((400, "BAD_REQUEST"), "gender")


async def test_consumers_are_found_by_the_references_of_the_orders_that_name_them(shop: Shop):
    uid, john, jane = await shop.product(), await _kept(shop, **_JOHN), await _kept(shop, first_name="Jane")
    by_john = [await shop.order({uid: 1}, consumer={"uid": john["uid"]}, external_reference="R1") for _ in range(2)]
    await shop.order({uid: 1}, consumer=_JOHN, external_reference="R1")  # who is not named by uid is not kept
    reference = by_john[0].json()["reference"]
    other = await shop.world.shopping_client()
    theirs = (await shop.post("/consumers", _JOHN, other)).json()
    body = shop.body({uid: 1}, consumer={"uid": theirs["uid"]}, external_reference="R1")
    assert (await shop.post("/orders", body, other)).status_code == 201
    for query, expected in [
        ({"external_reference": "R1"}, [john["uid"]]),
        ({"reference": reference}, [john["uid"]]),
        ({"reference": reference, "external_reference": "R1", "first_name": "John"}, [john["uid"]]),
        ({"reference": reference, "first_name": "Jane"}, []),
        ({"external_reference": "R"}, []),
        ({"reference": reference + "0"}, []),
        ({"external_reference__startswith": "X"}, [john["uid"], jane["uid"]]),  # only the exact match is documented
    ]:
        shown = (await shop.get("/consumers", **query)).json()
        assert {one["uid"] for one in shown["_embedded"]["shop:consumer"]} == set(expected), query
        assert shown["item_count"] == len(expected)


async def test_keeping_and_reading_need_their_permissions(shop: Shop):
    kept = await _kept(shop, **_JOHN)
    nobody = await shop.world.shopping_client(permissions=EVERYTHING - {Permission.READ, Permission.CREATE})
    assert kind(await shop.post("/consumers", _JOHN, nobody)) == (403, "FORBIDDEN")
    for path in ("/consumers", f"/consumers/{kept['uid']}"):
        assert kind(await shop.get(path, nobody)) == (403, "FORBIDDEN")
        assert (await shop.world.http.get(path)).status_code == 401
    assert (await shop.world.http.post(f"{PUBLIC_URL}/consumers", json=_JOHN)).status_code == 401
    assert len(await shop.world.rows("consumers")) == 1


async def test_under_one_key_a_consumer_is_kept_once(shop: Shop):
    first = await shop.post("/consumers", _JOHN, Idempotency_Key="k")
    assert (await shop.post("/consumers", _JOHN, Idempotency_Key="k")).content == first.content
    assert len(await shop.world.rows("consumers")) == 1
