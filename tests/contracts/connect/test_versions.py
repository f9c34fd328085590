import json

from support.connect_calls import CANCEL, cancel, contents, send
from support.world import World

VERSIONS = [str(number) for number in range(1, 9)]


async def test_every_version_cancels_and_answers_to_the_byte_alike(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    replies = []
    for version in VERSIONS:  # 1 and 2 are deprecated, 8 is inferred: all have one behaviour (decision 9)
        order_id = await world.service_order(me)
        replies.append(await cancel(world, me, {"orderId": order_id}, headers={"X-API-VERSION": version}))
        assert [row["state"] for row in await world.rows("orders", order_id)] == ["cancelled"]
    assert replies[0].status == 200
    assert replies == [replies[0]] * len(VERSIONS)


async def test_every_version_refuses_alike(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    await world.cancel(me, order_id)
    replies = [
        await cancel(world, me, {"orderId": order_id}, headers={"X-API-VERSION": version}) for version in VERSIONS
    ]
    assert replies[0].status == 422
    assert replies == [replies[0]] * len(VERSIONS)


NO_VERSIONS: list[list[str | bytes]] = [
    [],
    ["0"],
    ["9"],
    ["-1"],
    ["+7"],
    ["07"],
    ["7.0"],
    ["7e0"],
    ["0x7"],
    ["10"],
    ["abc"],
    ["v7"],
    [""],
    ["٧"],  # int() reads this as 7  # noqa: RUF001
    ["７"],  # noqa: RUF001
    [b"\xff"],
    [b"7\x00"],
    # A server takes such spaces away before anybody sees them; were one not to, it would not be one of the strings.
    [" 7"],
    ["7 "],
    ["7,"],
    ["7, 7"],
    ["7", "7"],  # the header twice is the list of both
    ["7", "8"],
    ["7" * 5000],
]


async def test_any_other_version_is_400_that_names_the_supported_ones_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    rest = [(name, value) for name, value in world.connect_headers(me).items() if name != "X-API-VERSION"]
    for given in NO_VERSIONS:
        headers = [*rest, *(("X-API-VERSION", value) for value in given)]
        reply = await send(world, "POST", CANCEL, headers, json.dumps({"orderId": order_id}).encode())
        assert (given, reply.status) == (given, 400)
        assert reply.error["code"] == "bad_request"
        assert "X-API-VERSION" in reply.error["message"]
        assert "1 to 8" in reply.error["message"]
        assert len(reply.body) < 500
    assert await contents(world) == before
