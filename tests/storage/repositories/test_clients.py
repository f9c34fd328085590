from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from countermand.actions.errors import ConflictError, NotFoundError
from countermand.actions.identity.ports import SecretHashes
from countermand.contracts.http.cancel_endpoint import BasicKey, BearerToken
from countermand.domain.client import ClientId, Permission
from countermand.storage.tables.clients import clients as clients_table
from countermand.storage.tables.columns import micros
from support.contracts import SHOPPING
from support.shared_world import shared_world
from support.world import ISSUER, NOON, World

world = shared_world

MAY_READ = frozenset({Permission.READ})


async def test_a_client_is_found_by_its_key_with_the_hash_of_its_secret_alone(world: World):
    added = await add(world, key="k1", secret_sha256="0" * 64)
    assert await world.database.clients.by_key("k1") == (added, SecretHashes(current="0" * 64))
    assert await world.database.clients.by_key("k2") is None
    assert "0" * 64 not in repr(added)
    assert (added.channel, added.permissions, added.created_at) == (SHOPPING.channel, MAY_READ, world.clock())


async def test_a_client_is_found_by_issuer_and_subject_together(world: World):
    added = await add(world, identity=(ISSUER, "partner"))
    clients = world.database.clients
    assert await clients.by_identity(ISSUER, "partner") == added
    assert await clients.by_identity("https://another.issuer", "partner") is None
    assert await clients.by_identity(ISSUER, "Partner") is None


async def test_two_issuers_may_name_the_same_subject_and_never_share_a_client(world: World):
    ours = await add(world, identity=(ISSUER, "partner"))
    theirs = await add(world, identity=("https://another.issuer", "partner"))
    assert ours.id != theirs.id
    assert await world.database.clients.by_identity("https://another.issuer", "partner") == theirs


@pytest.mark.parametrize("who", [{"key": "k1", "secret_sha256": "0" * 64}, {"identity": (ISSUER, "partner")}])
async def test_no_key_and_no_identity_belongs_to_two_clients(world: World, who: dict[str, object]):
    first = await add(world, **who)
    with pytest.raises(ConflictError) as raised:
        await add(world, **who)
    assert raised.value.code == "client_exists"
    assert await world.database.clients.all() == [first]


async def test_rotating_gives_a_new_secret_to_the_same_client_and_keeps_the_old_one_for_the_overlap(world: World):
    before, clients = await add(world, key="k", secret_sha256="0" * 64), world.database.clients
    after = await clients.rotate(before.id, secret_sha256="1" * 64, now=NOON, overlap=timedelta(hours=1))
    until = NOON + timedelta(hours=1)
    assert after == replace(before, previous_secret_until=until)
    hashes = SecretHashes(current="1" * 64, previous="0" * 64, previous_until=until)
    assert await clients.by_key("k") == (after, hashes)
    assert hashes.working(until.timestamp() - 1) == ("1" * 64, "0" * 64)
    assert hashes.working(until.timestamp()) == ("1" * 64,)
    at_once = await clients.rotate(before.id, secret_sha256="2" * 64, now=NOON, overlap=timedelta(0))
    assert await clients.by_key("k") == (at_once, SecretHashes(current="2" * 64))


async def test_a_name_and_permissions_change_alone_and_together(world: World):
    before, other = await add(world, key="k1", secret_sha256="0" * 64), await add(world, key="k2", secret_sha256="0")
    clients, may_cancel = world.database.clients, frozenset({Permission.CANCEL})
    assert await clients.change(before.id, name="New", permissions=None) == replace(before, name="New")
    changed = await clients.change(before.id, name=None, permissions=may_cancel)
    assert changed == replace(before, name="New", permissions=may_cancel)
    assert await clients.change(before.id, name=None, permissions=None) == changed
    assert await clients.all() == [changed, other]
    for name in ("x", None):
        with pytest.raises(NotFoundError):
            await clients.change(ClientId(99), name=name, permissions=None)


async def test_the_last_use_is_written_at_most_once_in_a_while(world: World):
    one, other = await add(world, key="k1", secret_sha256="0" * 64), await add(world, key="k2", secret_sha256="0")
    clients, hour = world.database.clients, timedelta(hours=1)
    assert (one.last_used_at, other.last_used_at) == (None, None)
    for minutes, used, last in ((0, 0, 0), (59, 59, 0), (60, 59, 59), (118, 118, 59), (119, 58, 59), (119, 119, 119)):
        uses = {one.id: NOON + timedelta(minutes=used), ClientId(other.id + 1): NOON}
        stored = {one.id: NOON + timedelta(minutes=last)}
        assert await clients.write_last_uses(uses, NOON + timedelta(minutes=minutes), every=hour) == stored
        assert (await clients.one(one.id)).last_used_at == stored[one.id]
    assert await clients.one(other.id) == other


async def test_what_has_no_key_cannot_be_rotated(world: World):
    with_identity = await add(world, identity=(ISSUER, "partner"))
    for client_id, why in {with_identity.id: ConflictError, ClientId(with_identity.id + 1): NotFoundError}.items():
        with pytest.raises(why):
            await world.database.clients.rotate(client_id, secret_sha256="1" * 64, now=NOON, overlap=timedelta(hours=1))
    assert await world.database.clients.all() == [with_identity]


async def test_a_permission_that_older_nodes_do_not_know_stands_where_they_do_not_read(world: World):
    may = frozenset({Permission.READ, Permission.MONEY, Permission.ACT_AS})
    added = await add(world, key="k1", secret_sha256="0" * 64, permissions=may)
    (row,) = await world.rows("clients")
    assert (row["permissions"], row["more_permissions"]) == ('["read"]', '["act_as", "money"]')
    assert added.permissions == (await world.database.clients.one(added.id)).permissions == may

    changed = await world.database.clients.change(added.id, name=None, permissions=MAY_READ)
    (row,) = await world.rows("clients")
    assert (row["permissions"], row["more_permissions"], changed.permissions) == ('["read"]', None, MAY_READ)
    with pytest.raises(NotFoundError):
        await world.database.clients.change(ClientId(added.id + 1), name=None, permissions=MAY_READ)


async def test_a_revoked_client_is_still_found_and_may_nothing(world: World):
    added = await add(world, key="k1", secret_sha256="0" * 64)
    assert added.may(Permission.READ)
    assert not added.may(Permission.CANCEL)
    world.clock.forward(hours=1)
    revoked = await world.database.clients.revoke(added.id, world.clock())
    assert revoked.revoked_at == world.clock()
    assert not revoked.may(Permission.READ)
    assert await world.database.clients.by_key("k1") == (revoked, SecretHashes(current="0" * 64))


async def test_a_restored_client_has_its_newest_secret_alone_though_an_old_node_revoked_it(world: World):
    clients = world.database.clients
    added = await add(world, key="k1", secret_sha256="0" * 64)
    rotated = await clients.rotate(added.id, secret_sha256="1" * 64, now=NOON, overlap=timedelta(days=1))
    assert await clients.restore(added.id) == rotated  # it was never revoked, so the overlap goes on
    async with world.database.store.transaction() as tx:
        await tx.run(update(clients_table).values(revoked_at=micros(NOON)))
    restored = await clients.restore(added.id)
    assert (restored.revoked_at, restored.previous_secret_until) == (None, None)
    assert await clients.by_key("k1") == (restored, SecretHashes(current="1" * 64))
    with pytest.raises(NotFoundError):
        await clients.restore(ClientId(added.id + 1))


def test_no_hash_and_no_credential_is_in_what_a_log_would_show():
    shown = repr((SecretHashes(current="0" * 64, previous="1" * 64), BearerToken("s3cret"), BasicKey("k1", "s3cret")))
    assert "k1" in shown
    assert not any(hidden in shown for hidden in ("0" * 64, "1" * 64, "s3cret"))


async def test_nobody_is_revoked_who_is_not_there(world: World):
    with pytest.raises(NotFoundError):
        await world.database.clients.revoke(ClientId(7), world.clock())


async def test_many_clients_are_looked_up_at_once_and_unknown_ones_left_out(world: World):
    first = await add(world, key="k1", secret_sha256="0" * 64)
    second = await add(world, identity=(ISSUER, "partner"))
    revoked = await world.database.clients.revoke(first.id, world.clock())
    current = await world.database.clients.current([second.id, first.id, ClientId(99)])
    assert sorted(current, key=lambda found: found[0].id) == [
        (revoked, SecretHashes(current="0" * 64)),
        (second, None),
    ]
    assert await world.database.clients.current([]) == []
    assert await world.database.clients.all() == [revoked, second]


async def add(world: World, **who: object):
    given = {"key": None, "secret_sha256": None, "identity": None, "permissions": MAY_READ} | who
    return await world.database.clients.add(channel=SHOPPING.channel, name="somebody", now=world.clock(), **given)
