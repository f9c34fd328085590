"""The statement of a batch leaves out what the batch cannot need, and never anything else."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from countermand.actions.cancelling.cancel_orders import Cancelled
from countermand.actions.cancelling.group_commit import GoAgain
from countermand.contracts.registry import CONTRACTS, kinds_of
from countermand.domain.cancelling.policy import policy_of
from countermand.domain.orders.order import OrderId, OrderUid, may_have_uid, order_id_of
from countermand.storage.postgres.statements import BATCH_FORMS, BatchForm, cancel_batch, form_for
from countermand.storage.tables.orders import orders
from support.shared_world import shared_postgres_world
from support.world import World

postgres_world = shared_postgres_world


async def test_a_batch_of_services_names_no_table_of_tickets(postgres_world: World):
    world = postgres_world
    me = await world.connect_client()
    services = [await world.service_order(me), await world.service_order(me, appointment_in=timedelta(hours=30))]
    commands = [world.command(me, order_id, wants_order=True) for order_id in services]
    form = form_for(commands, skip_held=False)
    text = text_of(form)

    assert form == BatchForm(with_tickets=False)
    assert [table for table in ("tickets", "products", "order_details", "order_lines") if table in text] == []
    assert await world.service.commit.run(commands) == [Cancelled(order_id=order_id) for order_id in services]
    assert [row["state"] for row in await world.rows("appointments")] == ["cancelled"]


@pytest.mark.parametrize(
    ("wants_order", "key", "form"),
    [
        (False, None, BatchForm()),
        (True, None, BatchForm(with_orders=True)),
        (False, "k", BatchForm(with_keys=True)),
        (True, "k", BatchForm(with_keys=True, with_orders=True)),
    ],
)
async def test_one_ticket_order_among_services_decides_the_form(
    postgres_world: World, *, wants_order: bool, key: str | None, form: BatchForm
):
    world = postgres_world
    me, shop = await world.connect_client(), await world.shopping_client()
    commands = [world.command(me, await world.service_order(me)) for _ in range(2)]
    bought = (await world.ticket_order(shop)).order.id
    commands.insert(1, world.command(shop, bought, key=key, wants_order=wants_order))

    outcomes = await world.service.commit.run(commands)

    assert form_for(commands, skip_held=False) == form
    assert [type(outcome) for outcome in outcomes] == [Cancelled] * 3
    assert [outcome.shown is not None for outcome in outcomes] == [False, wants_order, False]
    assert [row["valid"] for row in await world.rows("tickets", bought)] == [False, False]
    assert len(await world.rows("idempotency_keys")) == (key is not None)


async def test_a_batch_that_leaves_out_what_is_held_looks_at_tickets_in_any_case(postgres_world: World):
    me = await postgres_world.connect_client()

    assert form_for([postgres_world.command(me, OrderId(1))], skip_held=True) == BatchForm(skip_held=True)


async def test_an_order_with_tickets_under_a_number_of_services_is_not_cancelled_without_releasing_them(
    postgres_world: World,
):
    world = postgres_world
    me, shop = await world.connect_client(), await world.shopping_client()
    misnamed = await world.service_order(me)
    async with world.database.store.transaction() as tx:
        await tx.run(update(orders).where(orders.c.id == misnamed).values(contract="shopping", state="pending"))
    before = await world.rows("orders", misnamed)

    (outcome,) = await world.service.commit.run([world.command(me, misnamed)])

    assert isinstance(outcome, GoAgain)
    assert await world.rows("orders", misnamed) == before
    assert await world.rows("cancellations") == []
    assert shop.client.id != me.client.id


def test_every_form_that_a_batch_can_have_is_there():
    assert len(set(BATCH_FORMS)) == len(BATCH_FORMS) == 10
    assert len({text_of(form) for form in BATCH_FORMS}) == len(BATCH_FORMS)


@pytest.mark.parametrize(
    ("order_id", "may"), [(1, False), ((1 << 62) - 1, False), (1 << 62, True), ((1 << 63) - 1, True)]
)
def test_the_number_tells_whether_an_order_may_have_tickets(order_id: int, *, may: bool):
    assert may_have_uid(OrderId(order_id)) is may


@pytest.mark.parametrize("uid", ["0" * 32, "z" * 32, "87a2195h3gd162fb35c5a3dbd7bapo1l"])
def test_every_ticket_order_has_such_a_number(uid: str):
    assert may_have_uid(order_id_of(OrderUid(uid)))


def text_of(form: BatchForm) -> str:
    policies = [policy_of(contract.name, contract.default_rules) for contract in CONTRACTS]
    return cancel_batch(policies, kinds_of(CONTRACTS), form)
