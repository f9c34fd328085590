"""An order's money is put right on the command line as over HTTP, and every record names a person."""

import asyncio
import json

import pytest

from countermand.actions.errors import UnavailableError
from countermand.cli import order_change
from countermand.domain.orders.order_state import Transition
from countermand.domain.staff import Role
from countermand.storage.tables.columns import micros
from support.command_line import Run, Said, assert_one_sentence, runner
from support.database_contents import changed, contents
from support.manage_calls import manage
from support.money import row_of
from support.serving import database_of
from support.shared_world import shared_world
from support.world import World

world = shared_world


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


async def order(world: World, run: Run, *arguments: str) -> Said:
    return await asyncio.to_thread(run, "order", *arguments, **database_of(world))


async def test_a_payment_is_recorded_voided_refunded_and_charged_back_by_a_person(world: World, run: Run):
    operator = await world.manage_client()
    await world.person("kim", Role.FINANCE, client=operator)
    placed = await world.ticket_order(await world.shopping_client())
    name, why = f"shopping-{placed.order.uid}", ("--reason", "typed twice", "--as", "kim")

    paid = await order(world, run, "pay", name, "tx 1", "25.00", "EUR", "--as", "kim")
    assert paid == Said(0, f"{name} is completed; the record names kim\nmoney: 25.00 EUR recorded; kept 25.00\n", "")
    voided = await order(world, run, "void", name, "tx 1", *why)
    assert voided.out == f"{name} is pending; the record names kim\nmoney: 25.00 EUR recorded; voided 25.00\n"
    (expiry,) = await world.rows("expiries", placed.order.id)
    (correction,) = await world.rows("payment_corrections", placed.order.id)
    window_s = world.settings.shopping_payment_limit_s
    assert expiry["expires_at"] - correction["recorded_at"] == window_s * 1_000_000
    assert (correction["staff_id"], correction["client_id"], correction["channel"]) == ("kim", 0, "manage")
    await order(world, run, "pay", name, "tx 2", "25", "EUR", "--as", "kim")
    for command, reference in (("refund", "re 1"), ("chargeback", "cb 1")):
        done = await order(world, run, command, name, reference, "20.00", "EUR", *why, "--json")
        assert json.loads(done.out) == (await manage(world, operator, "GET", str(placed.order.uid))).json()
        before = await contents(world)
        assert (await order(world, run, command, name, reference, "20.00", "EUR", *why)).code == 0
        assert not changed(before, await contents(world))
    shown = (await order(world, run, "show", name)).out
    for line in (
        "refund done re 1: 20.00 EUR, typed twice",
        "chargeback cb 1: 20.00 EUR, typed twice",
        "money: 50.00 EUR recorded; kept -15.00, refunded 20.00, charged back 20.00, voided 25.00",
        ", voided 20",
    ):
        assert line in shown


async def test_a_refund_that_came_back_is_recorded_by_a_person(world: World, run: Run):
    operator = await world.manage_client()
    await world.person("kim", Role.FINANCE, client=operator)
    await world.person("sam", Role.SUPPORT, client=operator)
    placed = await world.ticket_order(await world.shopping_client(), paid=True)
    name, why = f"shopping-{placed.order.uid}", ("--reason", "account closed", "--as", "kim")
    assert (await order(world, run, "refund", name, "re 1", "20", "EUR", *why)).code == 0
    failed = await order(world, run, "refund-failed", name, "re 1", *why)
    assert failed.out.splitlines() == [
        f"{name} is completed; the record names kim",
        "refund returned re 1: 20.00 EUR, account closed",
        "refund failed re 1: 20.00 EUR, account closed",
        "money: 25.00 EUR recorded; kept 5.00, due 20.00",
    ]
    before = await contents(world)
    assert await order(world, run, "refund-failed", name, "re 1", *why) == failed
    assert_one_sentence(await order(world, run, "refund-failed", name, "unheard", *why), "unheard")
    assert_one_sentence(
        await order(world, run, "refund-failed", name, "re 1", "--reason", " ", "--as", "kim"), "--reason"
    )
    assert_one_sentence(await order(world, run, "refund-failed", name, "re 1", "--reason", "r", "--as", "sam"), "sam")
    assert not changed(before, await contents(world))


async def test_late_money_is_assigned_by_a_person_to_the_order_that_it_was_meant_for(world: World, run: Run):
    operator, shop = await world.manage_client(), await world.shopping_client()
    await world.person("kim", Role.FINANCE, client=operator)
    await world.person("sam", Role.SUPPORT, client=operator)
    ended, right = [await world.ticket_order(shop) for _ in range(2)]
    await world.advance(ended.order.id, Transition.EXPIRE)
    source, target = (f"shopping-{one.order.uid}" for one in (ended, right))
    why = ("--reason", "the wrong order", "--as", "kim")
    assert (await order(world, run, "pay", source, "tx 1", "25", "EUR", "--as", "kim")).code == 2
    before = await contents(world)
    for arguments, said in {
        (source, "tx 1", source, *why): ("ORDER", "another order"),
        (source, "tx 1", "1", *why): ("ORDER must name the contract",),
        (source, "tx 1", "connect-999", *why): ("connect-999",),
        (source, "unheard", target, *why): ("unheard",),
        (source, "tx\u200b1", target, *why): ("REFERENCE must have visible characters", "tx\\u200b1"),
        (source, "tx 1", target, "--reason", " ", "--as", "kim"): ("--reason",),
        (source, "tx 1", target, "--reason", "r", "--as", "sam"): ("sam", "money"),
        (target, "tx 1", source, *why): ("tx 1",),
    }.items():
        assert_one_sentence(await order(world, run, "assign", *arguments), *said)
    assert not changed(before, await contents(world))
    assigned = await order(world, run, "assign", source, "tx 1", target, *why)
    assert assigned.out == f"{source} is expired; the record names kim\nmoney: 25.00 EUR recorded; voided 25.00\n"
    assert (await row_of(world, right.order.id))["state"] == "completed"
    (correction,) = await world.rows("payment_corrections", ended.order.id)
    assert (correction["kind"], correction["staff_id"], correction["reason"]) == ("void", "kim", "the wrong order")
    before = await contents(world)
    assert await order(world, run, "assign", source, "tx 1", target, *why) == assigned
    assert not changed(before, await contents(world))


async def test_late_money_is_recorded_and_said(world: World, run: Run):
    await world.person("kim", Role.SUPPORT, client=await world.manage_client())
    placed = await world.ticket_order(await world.shopping_client())
    await world.advance(placed.order.id, Transition.EXPIRE)
    money = ("pay", str(placed.order.uid), "tx 1", "25", "EUR", "--as", "kim")
    assert_one_sentence(await order(world, run, *money), "expired", "late money")
    again = await order(world, run, *money, "--json")
    assert (again.code, json.loads(again.out)["error"]["code"]) == (2, "late_money")
    (payment,) = await world.rows("payments", placed.order.id)
    assert payment["is_late"]
    assert (await row_of(world, placed.order.id))["first_payment_at"] is None


async def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(world: World, run: Run):
    operator = await world.manage_client()
    await world.person("kim", Role.FINANCE, client=operator)
    await world.person("sam", Role.SUPPORT, client=operator)
    placed = await world.ticket_order(await world.shopping_client(), paid=True)
    name, why = f"shopping-{placed.order.uid}", ("--reason", "r", "--as", "kim")
    before = await contents(world)
    for arguments, said in {
        ("void", name, "unheard", *why): ("unheard",),
        ("void", name, "unheard", "--reason", " ", "--as", "kim"): ("--reason",),
        ("void", name, "unheard", "--reason", "r", "--as", "sam"): ("--as", "sam", "money", "support"),
        ("refund", name, "re 1", "25.01", "EUR", *why): ("25.01 EUR", "kept 25.00"),
        ("refund", name, "re 1", "0", "EUR", *why): ("AMOUNT", "0.00"),
        ("refund", name, "re 1", "much", "EUR", *why): ("AMOUNT", "'much'"),
        ("refund", name, "re 1", "1", "euro", *why): ("currency", "'euro'"),
        ("chargeback", name, "", "1", "EUR", *why): ("REFERENCE", "0"),
        ("refund", name, "  ", "1", "EUR", *why): ("REFERENCE must have a visible character", "  "),
        ("pay", name, "tx\u200b", "1", "EUR", "--as", "kim"): ("REFERENCE must have visible", "tx\\u200b"),
        ("chargeback", name, "cb 1", "26", "EUR", *why): ("26.00 EUR",),
        ("pay", "connect-999", "tx 1", "1", "EUR", "--as", "kim"): ("connect-999",),
        ("pay", name, "tx 1", "0", "EUR", "--as", "kim"): ("0.00",),
        ("pay", name, "tx 1", "1", "EUR", "--as", "nobody"): ("nobody",),
    }.items():
        assert_one_sentence(await order(world, run, *arguments), *said)
    for arguments, code in {
        ("void", name, "unheard", *why): "not_found",
        ("void", name, "unheard", "--reason", "r", "--as", "sam"): "forbidden",
        ("refund", name, "re 1", "25.01", "EUR", *why): "refund_exceeds_paid",
        ("refund", name, "re 1", "much", "EUR", *why): "invalid_field",
    }.items():
        refused = await order(world, run, *arguments, "--json")
        assert (refused.code, json.loads(refused.out)["error"]["code"]) == (2, code)
    assert not changed(before, await contents(world))
    assert (await row_of(world, placed.order.id))["first_payment_at"] == micros(world.clock())


@pytest.mark.parametrize(
    "amount", ["1_0", "1e1", "\u0661\u0660", "\uff11\uff10", " 1", "1 ", "+1", "1.", ".5", "1,5", "NaN", ""]
)
async def test_only_plain_digits_are_an_amount(world: World, run: Run, amount: str):
    """Each of the first is a number for Python, and a typing mistake of a person."""
    await world.person("kim", Role.FINANCE, client=await world.manage_client())
    placed = await world.ticket_order(await world.shopping_client(), paid=True)
    name, before = f"shopping-{placed.order.uid}", await contents(world)
    for command, more in (("pay", ()), ("refund", ("--reason", "r")), ("chargeback", ("--reason", "r"))):
        said = await order(world, run, command, name, "ref 1", amount, "EUR", *more, "--as", "kim")
        assert_one_sentence(said, "nothing was recorded", "AMOUNT", "12.50", repr(amount))
    assert not changed(before, await contents(world))


@pytest.mark.parametrize(
    ("amount", "minor"), [("10", 1000), ("010", 1000), ("0.1", 10), ("10.50", 1050), ("1.500", 150)]
)
async def test_digits_with_a_fraction_or_without_are_an_amount(world: World, run: Run, amount: str, minor: int):
    await world.person("kim", Role.FINANCE, client=await world.manage_client())
    placed = await world.ticket_order(await world.shopping_client())
    paid = await order(world, run, "pay", f"shopping-{placed.order.uid}", "tx 1", amount, "EUR", "--as", "kim")
    assert paid.code == 0
    assert [row["amount_minor"] for row in await world.rows("payments", placed.order.id)] == [minor]


async def test_what_was_recorded_but_could_not_be_read_is_not_said_to_be_undone(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
):
    async def unreadable(*_: object) -> None:
        raise UnavailableError("the database is too slow; nothing was done; send the request again")

    await world.person("kim", Role.FINANCE, client=await world.manage_client())
    placed = await world.ticket_order(await world.shopping_client())
    monkeypatch.setattr(order_change, "order_with_history", unreadable)
    paid = await order(world, run, "pay", f"shopping-{placed.order.uid}", "tx 2", "1", "EUR", "--as", "kim")
    assert_one_sentence(paid, "the change is recorded", placed.order.uid)
    assert "nothing was done" not in paid.err
    assert [row["reference"] for row in await world.rows("payments", placed.order.id)] == ["tx 2"]
    again = await order(world, run, "pay", f"shopping-{placed.order.uid}", "tx 2", "1", "EUR", "--as", "kim", "--json")
    error = json.loads(again.out)["error"]
    assert (again.code, error["status"], error["code"]) == (2, 500, "unexpected")
    assert error["detail"].startswith("the change is recorded")
