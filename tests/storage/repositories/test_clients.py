import pytest

from countermand.actions.errors import ConflictError, NotFoundError
from countermand.domain.client import ClientId, Permission
from support.contracts import SHOPPING
from support.shared_world import shared_world
from support.world import ISSUER, World

world = shared_world

MAY_READ = frozenset({Permission.READ})


async def test_a_client_is_found_by_its_key_with_the_hash_of_its_secret_alone(world: World):
    added = await add(world, key="k1", secret_sha256="0" * 64)
    assert await world.database.clients.by_key("k1") == (added, "0" * 64)
    assert await world.database.clients.by_key("k2") is None
    assert "secret" not in repr(added)
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


async def test_rotating_gives_a_new_key_and_secret_to_the_same_client(world: World):
    before = await add(world, key="old", secret_sha256="0" * 64)
    after = await world.database.clients.rotate(before.id, key="new", secret_sha256="1" * 64)
    assert (after.id, after.name, after.permissions, after.key) == (before.id, before.name, before.permissions, "new")
    assert await world.database.clients.by_key("old") is None
    assert await world.database.clients.by_key("new") == (after, "1" * 64)


async def test_what_has_no_key_cannot_be_rotated(world: World):
    with_identity = await add(world, identity=(ISSUER, "partner"))
    for client_id in (with_identity.id, ClientId(with_identity.id + 1)):
        with pytest.raises(NotFoundError):
            await world.database.clients.rotate(client_id, key="new", secret_sha256="1" * 64)
    assert await world.database.clients.all() == [with_identity]


async def test_a_permission_that_older_nodes_do_not_know_stands_where_they_do_not_read(world: World):
    may = frozenset({Permission.READ, Permission.MONEY, Permission.ACT_AS})
    added = await add(world, key="k1", secret_sha256="0" * 64, permissions=may)
    (row,) = await world.rows("clients")
    assert (row["permissions"], row["more_permissions"]) == ('["read"]', '["act_as", "money"]')
    assert added.permissions == (await world.database.clients.one(added.id)).permissions == may

    changed = await world.database.clients.change_permissions(added.id, MAY_READ)
    (row,) = await world.rows("clients")
    assert (row["permissions"], row["more_permissions"], changed.permissions) == ('["read"]', None, MAY_READ)
    with pytest.raises(NotFoundError):
        await world.database.clients.change_permissions(ClientId(added.id + 1), MAY_READ)


async def test_a_revoked_client_is_still_found_and_may_nothing(world: World):
    added = await add(world, key="k1", secret_sha256="0" * 64)
    assert added.may(Permission.READ)
    assert not added.may(Permission.CANCEL)
    world.clock.forward(hours=1)
    revoked = await world.database.clients.revoke(added.id, world.clock())
    assert revoked.revoked_at == world.clock()
    assert not revoked.may(Permission.READ)
    assert await world.database.clients.by_key("k1") == (revoked, "0" * 64)


async def test_nobody_is_revoked_who_is_not_there(world: World):
    with pytest.raises(NotFoundError):
        await world.database.clients.revoke(ClientId(7), world.clock())


async def test_many_clients_are_looked_up_at_once_and_unknown_ones_left_out(world: World):
    first = await add(world, key="k1", secret_sha256="0" * 64)
    second = await add(world, identity=(ISSUER, "partner"))
    revoked = await world.database.clients.revoke(first.id, world.clock())
    current = await world.database.clients.current([second.id, first.id, ClientId(99)])
    assert sorted(current, key=lambda found: found[0].id) == [(revoked, "0" * 64), (second, None)]
    assert await world.database.clients.current([]) == []
    assert await world.database.clients.all() == [revoked, second]


async def add(world: World, **who: object):
    given = {"key": None, "secret_sha256": None, "identity": None, "permissions": MAY_READ} | who
    return await world.database.clients.add(channel=SHOPPING.channel, name="somebody", now=world.clock(), **given)
