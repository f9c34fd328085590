import asyncio
from datetime import timedelta

import pytest

from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.identity.ports import ClientKey
from countermand.domain.client import OWN_ISSUER, ClientId, Permission
from countermand.domain.signing_key import CLOCKS_APART
from countermand.storage.repositories.tokens import SqlUsedAssertions
from countermand.storage.retention import RETIRED_KEYS, USED_ASSERTIONS, forget
from support.contracts import CONNECT
from support.shared_world import shared_world
from support.world import NOON, World

world = shared_world

MICROSECOND = timedelta(microseconds=1)
SPARE = {"spare_kid": "spare", "spare_private_key": "{}"}


async def test_of_ten_that_use_an_assertion_at_once_one_does(world: World):
    used = SqlUsedAssertions(world.database.store)
    wins = await asyncio.gather(*(used.use(ClientId(1), "0" * 64, NOON) for _ in range(10)))
    assert sorted(wins) == [False] * 9 + [True]
    assert await used.use(ClientId(2), "0" * 64, NOON)
    assert await used.use(ClientId(1), "1" * 64, NOON)
    assert len(await world.rows("used_assertions")) == 3


async def test_a_used_assertion_is_forgotten_only_once_it_is_older_than_what_is_said(world: World):
    used = SqlUsedAssertions(world.database.store)
    await used.use(ClientId(1), "0" * 64, NOON)
    assert await forget(world.database.store, USED_ASSERTIONS, NOON, at_most=10) == 0
    assert await forget(world.database.store, USED_ASSERTIONS, NOON + MICROSECOND, at_most=10) == 1
    assert await world.rows("used_assertions") == []


async def test_the_first_key_signs_at_once_and_there_is_one_of_many_at_once(world: World):
    keys = world.database.signing_keys
    await asyncio.gather(*(keys.add_first(f"key {number}", "{}", NOON) for number in range(5)))
    (first,) = await keys.all()
    assert (first.number, first.signs_from, first.retired_at) == (1, NOON, None)
    await keys.add_first("later", "{}", NOON + timedelta(days=1))
    assert len(await keys.all()) == 1


async def test_a_rotation_adds_a_key_and_lets_those_before_it_end_with_their_last_token(world: World):
    keys = world.database.signing_keys
    await keys.add_first("one", "{}", NOON)
    one, two = await keys.rotate("two", "{}", NOON, overlap=timedelta(seconds=600))
    assert (one.retired_at, one.signs_from) == (NOON + timedelta(seconds=600 + 3000 + 60), NOON)
    assert (two.retired_at, two.signs_from, two.number) == (None, NOON + timedelta(seconds=600), 2)
    one, two, three = await keys.rotate("three", "{}", NOON, overlap=timedelta())
    assert one.retired_at == two.retired_at == NOON + timedelta(seconds=3060), "nobody needs them for longer now"
    assert three.signs_from == NOON


async def test_rotations_at_once_all_happen(world: World):
    keys = world.database.signing_keys
    await keys.add_first("one", "{}", NOON)
    await asyncio.gather(*(keys.rotate(f"key {number}", "{}", NOON, overlap=timedelta()) for number in range(3)))
    them = await keys.all()
    assert [key.number for key in them] == [1, 2, 3, 4]
    assert [key.number for key in them if key.retired_at is None] == [4]


async def test_where_there_was_no_key_a_rotation_makes_one_that_signs_at_once(world: World):
    (one,) = await world.database.signing_keys.rotate("one", "{}", NOON, overlap=timedelta(seconds=600))
    assert one.signs_from == NOON


async def test_a_withdrawn_key_ends_now_and_a_spare_comes_where_no_lasting_one_is_left(world: World):
    keys = world.database.signing_keys
    await keys.add_first("one", "{}", NOON)
    await keys.rotate("two", "{}", NOON, overlap=timedelta(seconds=600))
    later = NOON + timedelta(seconds=1)
    one, two = await keys.withdraw("one", later, **SPARE)
    assert (one.retired_at, two.retired_at) == (later - CLOCKS_APART, None), "over by every node's clock"
    *_, spare = await keys.withdraw("two", later, **SPARE)
    assert (spare.kid, spare.signs_from, spare.retired_at) == ("spare", later, None)


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")], ids="-".join)
async def test_of_two_withdrawals_at_once_one_adds_the_spare(world: World, order: tuple[str, str]):
    keys = world.database.signing_keys
    await keys.add_first("one", "{}", NOON)
    await keys.rotate("two", "{}", NOON, overlap=timedelta())
    await asyncio.gather(*(keys.withdraw(kid, NOON, spare_kid=f"spare {kid}", spare_private_key="{}") for kid in order))
    assert len([key for key in await keys.all() if key.retired_at is None]) == 1


@pytest.mark.parametrize("kid", ["nobody's", "one"])
async def test_what_does_not_count_cannot_be_withdrawn(world: World, kid: str):
    keys = world.database.signing_keys
    await keys.add_first("one", "{}", NOON)
    if kid == "one":
        await keys.withdraw("one", NOON, **SPARE)
    before = await keys.all()
    with pytest.raises(NotFoundError, match=kid):
        await keys.withdraw(kid, NOON, **SPARE)
    assert await keys.all() == before


async def test_a_retired_key_is_forgotten_and_one_that_counts_never(world: World):
    keys = world.database.signing_keys
    await keys.add_first("one", "{}", NOON)
    await keys.withdraw("one", NOON, **SPARE)
    assert await forget(world.database.store, RETIRED_KEYS, NOON - CLOCKS_APART, at_most=10) == 0
    assert await forget(world.database.store, RETIRED_KEYS, NOON + timedelta(days=9999), at_most=10) == 1
    assert [key.kid for key in await keys.all()] == ["spare"]


async def own_client(world: World, name: str, kid: str) -> ClientId:
    client = await world.database.clients.add(
        channel=CONNECT.channel,
        name=name,
        permissions=frozenset({Permission.READ}),
        key=None,
        secret_sha256=None,
        identity=(OWN_ISSUER, name),
        now=NOON,
        client_key=ClientKey(kid=kid, public_key="{}"),
    )
    return client.id


async def test_a_client_and_its_key_are_added_together_or_not_at_all(world: World):
    await own_client(world, "acme", "k")
    with pytest.raises(ConflictError):
        await own_client(world, "acme", "another")
    assert len(await world.rows("clients")) == len(await world.rows("client_keys")) == 1


async def test_a_key_is_found_by_its_clients_name_and_its_own_together(world: World):
    await own_client(world, "acme", "k")
    await own_client(world, "other", "o")
    keys = world.database.client_keys
    found = await keys.live("acme", "k")
    assert found is not None
    assert found[0].identity == (OWN_ISSUER, "acme")
    assert [key.kid for key in found[1]] == ["k"]
    for name, kid in (("acme", "o"), ("other", "k"), ("Acme", "k"), ("nobody", "k"), ("a\0", "k"), ("nobody", None)):
        assert await keys.live(name, kid) is None


async def test_without_a_kid_all_live_keys_of_a_client_are_found_the_newest_first(world: World):
    client_id = await own_client(world, "acme", "k")
    await own_client(world, "other", "o")
    clients, keys = world.database.clients, world.database.client_keys
    for day, kid in enumerate(("l", "m"), start=1):
        new = ClientKey(kid=kid, public_key="{}")
        await clients.rotate_key(client_id, new, NOON + timedelta(days=day), keep_old=True)
    found = await keys.live("acme", None)
    assert found is not None
    assert [key.kid for key in found[1]] == ["m", "l"]
    await clients.revoke(client_id, NOON)
    assert await keys.live("acme", None) is None


async def test_a_client_of_another_issuer_has_no_key_here(world: World):
    me = await world.connect_client("acme")
    with pytest.raises(NotFoundError):
        await world.database.clients.rotate_key(me.client.id, ClientKey(kid="k", public_key="{}"), NOON, keep_old=False)
    assert await world.rows("client_keys") == []


async def test_a_key_that_a_client_had_is_not_given_to_it_again(world: World):
    client_id = await own_client(world, "acme", "k")
    with pytest.raises(ConflictError, match="key k"):
        await world.database.clients.rotate_key(client_id, ClientKey(kid="k", public_key="{}"), NOON, keep_old=False)
    assert await world.database.client_keys.live("acme", "k") is not None


async def test_of_two_rotations_at_once_one_key_counts_in_the_end(world: World):
    client_id = await own_client(world, "acme", "k")
    clients = world.database.clients
    await asyncio.gather(
        *(
            clients.rotate_key(client_id, ClientKey(kid=kid, public_key="{}"), NOON, keep_old=False)
            for kid in ("one", "two")
        )
    )
    assert [row["revoked_at"] for row in await world.rows("client_keys")].count(None) == 1
