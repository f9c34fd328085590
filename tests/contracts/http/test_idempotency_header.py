import pytest

from countermand.contracts.http.answer import MalformedRequestError
from countermand.contracts.http.idempotency import key_in
from support.connect_calls import cancel
from support.database_contents import contents
from support.shared_world import shared_both_worlds
from support.world import World

both_worlds = shared_both_worlds

# As it is sent -> the key it stands for.
KEYS = {
    b"k": "k",
    b'"k"': "k",
    b"  k\t": "k",
    b' "k" ': "k",
    b"!": "!",
    b"~": "~",
    b'"!"': "!",
    b"8e03978e-40d5-43dd-bc93-6894a57f9324": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    b'"8e03978e-40d5-43dd-bc93-6894a57f9324"': "8e03978e-40d5-43dd-bc93-6894a57f9324",
    rb'"a\"b"': 'a"b',
    b'a"b': 'a"b',
    rb'"a\\b"': "a\\b",
    rb"a\b": "a\\b",
    rb'"\\"': "\\",
    rb'"\""': '"',
    rb'"\\\""': '\\"',
    b"a,b": "a,b",
    b"k;p=1": "k;p=1",
    b"'k'": "'k'",
    b"k" * 255: "k" * 255,
    b'"' + b"k" * 255 + b'"': "k" * 255,
    b'"' + rb"\"" * 255 + b'"': '"' * 255,  # counted as it stands for, not as it is written
}

NO_KEYS = {
    "nothing": b"",
    "spaces": b"   ",
    "an empty string": b'""',
    "a lone quote": b'"',
    "an open string": b'"k',
    "a quote too many": b'"k""',
    "two strings": b'"a" "b"',
    "a quote unescaped": b'"a"b"',
    "an escape of nothing": b'"\\"',
    "another escape": rb'"a\nb"',
    "a space": b"a b",
    "a space in a string": b'"a b"',
    "a parameter": b'"k";p=1',
    "sent twice": b"k, k",
    "sent twice as strings": b'"k", "k"',
    "a tab": b"a\tb",
    "a NUL": b"a\0b",
    "a line end": b'"k\n"',
    "DEL": b"a\x7fb",
    "DEL in a string": b'"a\x7fb"',
    "no ASCII": "clé".encode(),
    "no UTF-8": b"\xff",
    "no ASCII in a string": '"clé"'.encode(),
    "256": b"k" * 256,
    "256 in a string": b'"' + b"k" * 256 + b'"',
    "256 escaped": b'"' + rb"\\" * 256 + b'"',
    "very many": b"k" * 60_000,
}


@pytest.mark.parametrize(("sent", "key"), KEYS.items(), ids=[repr(sent)[:30] for sent in KEYS])
def test_a_key_is_what_it_stands_for_with_or_without_quotes(sent: bytes, key: str):
    made = key_in({b"idempotency-key": sent})
    assert made == key
    assert 1 <= len(made) <= 255


@pytest.mark.parametrize("sent", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_what_is_not_1_to_255_visible_ascii_characters_is_no_key(sent: bytes):
    with pytest.raises(MalformedRequestError, match="Idempotency-Key must be 1 to 255") as raised:
        key_in({b"idempotency-key": sent})
    assert len(str(raised.value)) < 200


def test_no_header_is_no_key():
    assert key_in({b"x-idempotency-key": b"k"}) is None


async def test_a_cancel_with_a_header_that_is_no_key_is_400_and_changes_nothing(both_worlds: World):
    world = both_worlds
    me = await world.connect_client()
    order_id = await world.service_order(me)
    before = await contents(world)
    replies = {
        name: await cancel(world, me, {"orderId": order_id}, headers={"Idempotency-Key": sent})
        for name, sent in NO_KEYS.items()
    }
    assert {name: reply.status for name, reply in replies.items() if reply.status != 400} == {}
    assert {reply.error["code"] for reply in replies.values()} == {"bad_request"}
    assert all("Idempotency-Key" in reply.error["message"] for reply in replies.values())
    assert await contents(world) == before


@pytest.mark.parametrize(("first", "second"), [("k", '"k"'), ('"k"', "k"), ('a"b', r'"a\"b"'), (r'"a\\b"', r"a\b")])
async def test_a_cancel_repeated_under_the_same_key_written_otherwise_gets_the_same_answer(
    both_worlds: World, first: str, second: str
):
    world = both_worlds
    me = await world.connect_client()
    order_id, other = await world.service_order(me), await world.service_order(me)
    one = await cancel(world, me, {"orderId": order_id}, headers={"Idempotency-Key": first})
    after_one = await contents(world)
    two = await cancel(world, me, {"orderId": order_id}, headers={"Idempotency-Key": second})
    assert one.status == 200
    assert two == one
    reused = await cancel(world, me, {"orderId": other}, headers={"Idempotency-Key": second})
    assert (reused.status, reused.codes) == (422, ["idempotency_key_reused"])
    assert reused.error["field"] == "Idempotency-Key"
    assert await contents(world) == after_one
    assert [row["key"] for row in after_one["idempotency_keys"]] == [KEYS[first.encode()]]
