"""The law of the shop: whatever happens to orders, their places, seats, vouchers and money are accounted for."""

import asyncio
import itertools
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from countermand.actions.errors import ConflictError
from countermand.actions.ordering.expire import expire_due
from countermand.actions.ordering.record_progress import record_payment
from countermand.domain.actor import Actor
from countermand.domain.orders.order import order_id_of
from support.money import bounce, pay_back, take_back, void
from support.overrides import override
from support.restores import restore
from support.shopping_calls import cancel
from support.ticket_shop import Shop, a_shop, check_conservation, euros
from support.world import PUBLIC_URL, World

_PRODUCTS = ("day", "locker", "seat", "weekend")
_VOUCHERS = ("once", "twice")


@dataclass(frozen=True)
class Order:
    """Order so many of each product, with these vouchers."""

    wanted: dict[str, int]
    vouchers: Sequence[str]


@dataclass(frozen=True)
class Pay:
    """So many cents came in for an order, or all that it costs."""

    which: int
    minor: int | None


@dataclass(frozen=True)
class Void:
    """One of an order's payments never happened."""

    which: int
    payment: int


@dataclass(frozen=True)
class Gone:
    """So many cents of an order were refunded, or charged back."""

    which: int
    minor: int
    is_refund: bool


@dataclass(frozen=True)
class Bounce:
    """One of an order's refunds came back."""

    which: int
    refund: int


@dataclass(frozen=True)
class Cancel:
    """Cancel an order."""

    which: int


@dataclass(frozen=True)
class Override:
    """Cancel an order although it is paid."""

    which: int


@dataclass(frozen=True)
class Restore:
    """Undo the cancellation of an order."""

    which: int


@dataclass(frozen=True)
class GiveOn:
    """Give so many of an order's tickets on to somebody else."""

    which: int
    tickets: int


@dataclass(frozen=True)
class Expire:
    """A node looks at what is due."""


ChangeOfOne = Pay | Void | Gone | Bounce | Cancel | Override | Restore | GiveOn
Act = Order | ChangeOfOne | Expire

_which = st.integers(0, 30)
_acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(
        Order,
        wanted=st.dictionaries(st.sampled_from(_PRODUCTS), st.integers(1, 3), min_size=1, max_size=3),
        vouchers=st.lists(st.sampled_from(_VOUCHERS), unique=True, max_size=2),
    ),
    st.builds(Pay, which=_which, minor=st.none() | st.integers(1, 3000)),
    st.builds(Void, which=_which, payment=st.integers(0, 3)),
    st.builds(Gone, which=_which, minor=st.integers(1, 3000), is_refund=st.booleans()),
    st.builds(Bounce, which=_which, refund=st.integers(0, 3)),
    st.builds(Cancel, which=_which),
    st.builds(Override, which=_which),
    st.builds(Restore, which=_which),
    st.builds(GiveOn, which=_which, tickets=st.integers(1, 3)),
    st.just(Expire()),
)
# What happens at once, and how many minutes pass then; an order that is not paid expires after sixty.
_history = st.lists(
    st.tuples(st.lists(_acts, min_size=1, max_size=10), st.sampled_from([0, 20, 61])), min_size=2, max_size=6
)


@dataclass
class Story:
    """A shop with a few of everything, and what was ordered there."""

    shop: Shop
    uids: dict[str, str]
    codes: dict[str, str]
    orders: list[dict[str, Any]] = field(default_factory=list)
    references: Any = field(default_factory=itertools.count)

    async def do(self, act: Act) -> None:
        if isinstance(act, Order):
            vouchers = [self.codes[name] for name in act.vouchers]
            answer = await self.shop.order({self.uids[name]: n for name, n in act.wanted.items()}, vouchers=vouchers)
            assert answer.status_code in {201, 409}, answer.text
            if answer.status_code == 201:
                self.orders.append(answer.json())
        elif isinstance(act, Expire):
            await expire_due(self.shop.world.database.store, self.shop.world.clock(), at_most=100)
        elif self.orders:
            await self._change(act, self.orders[act.which % len(self.orders)])

    async def _change(self, act: ChangeOfOne, order: dict[str, Any]) -> None:
        match act:
            case Pay():
                await self._pay(act, order)
            case Void():
                await self._void(act, order)
            case Gone():
                go = pay_back if act.is_refund else take_back
                with suppress(ConflictError):  # more than is there
                    money, reference = euros(act.minor), f"gone {next(self.references)}"
                    await go(self.shop.world, order_id_of(order["uid"]), reference, money)
            case Bounce():
                await self._bounce(act, order)
            case Cancel():
                answer = await cancel(self.shop.world, self.shop.caller, f"{PUBLIC_URL}/orders/{order['uid']}")
                assert answer.status_code in {200, 403, 409}, answer.text
            case Override():
                await override(self.shop.world, order_id_of(order["uid"]), "payment_recorded")
            case Restore():
                with suppress(ConflictError):  # it is not cancelled, or what it had is gone
                    await restore(self.shop.world, order_id_of(order["uid"]), clients_own=True)
            case GiveOn():
                tickets = [one["_links"]["self"]["href"] for one in order["_embedded"]["shop:ticket"]][: act.tickets]
                answer = await self.shop.post("/orders", {"tickets": tickets, "consumer": {}})
                assert answer.status_code in {201, 409}, answer.text
                if answer.status_code == 201:
                    self.orders.append(answer.json())
                    self.shop.given_on |= {uri.rpartition("/")[2] for uri in tickets}

    async def _pay(self, act: Pay, order: dict[str, Any]) -> None:
        world, order_id = self.shop.world, order_id_of(order["uid"])
        money = euros(act.minor or max(1, round(order["grand_total"]["amount"] * 100)))
        async with world.database.store.transaction() as tx:
            reference = f"{order['uid']}-{next(self.references)}"
            await record_payment(tx, Actor(self.shop.caller.client.id), order_id, reference, money, world.clock())

    async def _bounce(self, act: Bounce, order: dict[str, Any]) -> None:
        world, order_id = self.shop.world, order_id_of(order["uid"])
        made = [row for row in await world.rows("payment_corrections", order_id) if row["state"] == "done"]
        if made:
            await bounce(world, order_id, made[act.refund % len(made)]["reference"])

    async def _void(self, act: Void, order: dict[str, Any]) -> None:
        world, order_id = self.shop.world, order_id_of(order["uid"])
        paid = await world.rows("payments", order_id)
        if paid:
            with suppress(ConflictError):  # its money went back, or its tickets were given on
                await void(world, order_id, paid[act.payment % len(paid)]["reference"])


@pytest_asyncio.fixture
async def shop(world: World) -> Shop:
    return await a_shop(world)


async def _a_story(shop: Shop) -> Story:
    uids = {"day": await shop.product(stock=9), "locker": await shop.product(stock=12, price_minor=0)}
    uids["seat"] = await shop.seated(4, 3, 2)
    uids["weekend"] = await shop.combo({uids["day"]: 2, uids["seat"]: 1}, stock=4)
    codes = {name: f"{name} {uids['day']}" for name in _VOUCHERS}
    for name, code in codes.items():
        await shop.voucher(code, uses_cap=1 + _VOUCHERS.index(name), discount_percent=20)
    return Story(shop, uids, codes)


@pytest.mark.long
@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what happens at once does not happen again when shrunk
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=_history)
async def test_after_any_mix_places_seats_vouchers_and_money_are_each_on_exactly_one_side(
    shop: Shop, history: list[tuple[list[Act], int]]
):
    """Each act of a round has a connection of its own, and none waits for another."""
    story = await _a_story(shop)
    for acts, minutes in history:
        doing: list[Awaitable[None]] = [story.do(act) for act in acts]
        await asyncio.gather(*doing)
        await check_conservation(shop.world, given_on=shop.given_on)
        shop.world.clock.forward(minutes=minutes)
    states = {row["id"]: row["state"] for row in await shop.world.rows("orders")}
    assert all(order_id_of(order["uid"]) in states for order in story.orders), "what was answered is there"
