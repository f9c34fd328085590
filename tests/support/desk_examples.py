"""Makes the calls of the person at the desk, for the examples of the OpenAPI document."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete

from countermand.actions.identity.secrets import hash_of, new_secret
from countermand.domain.contract import MANAGE
from countermand.domain.instants import written_instant
from countermand.domain.orders.order import OrderId
from countermand.domain.staff import Role
from countermand.storage.tables.cancelling import outbox
from support.world import Caller, World

if TYPE_CHECKING:
    from support.examples import Recorder

SOON: Final = timedelta(seconds=30)


LISTS: Final = (
    *("listCancellations", "listRefusals", "countRefusals"),
    *("listLatePayments", "listPartPayments", "listRefunds"),
)

OF_BOTH: Final = ("listCancellations", "listRefusals")  # ticket orders stand in another order each time


async def looked_at_lists(it: "Recorder", order: dict[str, Any]) -> None:
    """All lists, with an order that is paid in part."""
    placed = (await it.call("shopping", "createOrder", order, keep=False)).json()
    part = {"reference": "psp-20261121-19", "amount": 10, "currency": "EUR"}
    await it.call("manage", "recordPayment", part, id=f"shopping-{placed['uid']}", keep=False)
    for name in LISTS:
        await it.call("manage", name, query="?contract=connect" if name in OF_BOTH else "")
        await it.call("manage", name, query="?client=me")
    called_off = {"reason": "The event is called off", "override": ["appointment_within_notice"]}
    await it.call("manage", "cancelOrder", called_off, id=f"shopping-{placed['uid']}")
    called_off["override"] = ["payment_recorded"]
    await it.call("manage", "cancelOrder", called_off, id=f"shopping-{placed['uid']}")
    await it.call("manage", "listRefunds", query="?state=due")


async def put_money_right(it: "Recorder", service_order: dict[str, Any]) -> None:
    """A mistyped payment, one that is refunded and charged back in parts, and late money that another order gets."""
    orders = [(await it.call("connect", "createOrder", service_order, keep=False)).json()["id"] for _ in range(2)]
    right, ended = (f"connect-{order}" for order in orders)
    for number in (20, 21):
        payment = {"reference": f"psp-20261121-{number}", "amount": 25, "currency": "EUR"}
        await it.call("manage", "recordPayment", payment, id=right, keep=False)
    mistyped = {"id": right, "reference": "psp-20261121-20"}
    await it.call("manage", "voidPayment", {"reason": "Typed twice"}, **mistyped)
    refund = {"reference": "re-20261121-1", "amount": 10, "currency": "EUR", "reason": "One visit less"}
    await it.call("manage", "recordRefund", refund, id=right)
    await it.call("manage", "recordRefund", refund | {"reference": "re-20261121-2", "amount": 100}, id=right)
    bounced = {"reason": "The bank account is closed"}
    await it.call("manage", "failRefund", bounced, id=right, reference="re-20261121-1")
    await it.call("manage", "failRefund", bounced, id=right, reference="re-20261121-2")
    chargeback = {"reference": "cb-20261121-1", "amount": 5, "currency": "EUR", "reason": "Disputed by the payer"}
    await it.call("manage", "recordChargeback", chargeback, id=right)
    await it.call("manage", "recordChargeback", chargeback | {"amount": 6}, id=right)
    await it.call("manage", "voidPayment", {"reason": "Typed twice"}, **mistyped | {"reference": "psp-20261121-21"})
    await it.call("manage", "cancelOrder", {"reason": "Ordered twice"}, id=ended, keep=False)
    late = {"reference": "psp-20261121-22", "amount": 25, "currency": "EUR"}
    await it.call("manage", "recordPayment", late, id=ended, keep=False)
    meant = {"order": right, "reason": "The payer named the wrong order"}
    await it.call("manage", "assignPayment", meant, id=ended, reference="psp-20261121-22")
    await it.call("manage", "assignPayment", meant | {"order": ended}, id=right, reference="psp-20261121-21")


async def undone_a_cancellation(it: "Recorder", service_order: dict[str, Any]) -> None:
    """An order that is cancelled by mistake and restored, and one that a partner cancelled itself."""
    orders = [(await it.call("connect", "createOrder", service_order, keep=False)).json()["id"] for _ in range(2)]
    mistaken, own = (f"connect-{order}" for order in orders)
    await it.call("manage", "cancelOrder", {"reason": "The customer rang: not wanted"}, id=mistaken, keep=False)
    sorry = {"reason": "It was another customer"}
    await it.call("manage", "restoreOrder", sorry, id=mistaken)
    await it.call("manage", "restoreOrder", sorry, id=mistaken)
    await it.call("connect", "cancelOrder", {"orderId": orders[1]}, keep=False)
    await it.call("manage", "restoreOrder", sorry, id=own)


async def asked_about_the_past(it: "Recorder", service_order: dict[str, Any]) -> None:
    """An order whose events are not kept any more."""
    order = (await it.call("connect", "createOrder", service_order, keep=False)).json()["id"]
    placed = it.world.clock.now
    it.world.clock.forward(minutes=1)
    await it.call("manage", "advanceOrder", {"move": "accept"}, id=f"connect-{order}", keep=False)
    it.world.clock.forward(minutes=1)
    async with it.world.database.store.transaction() as tx:
        await tx.run(delete(outbox).where(outbox.c.order_id == OrderId(order)))
    for then in (placed + SOON, placed - SOON):
        await it.call("manage", "explainOrder", id=f"connect-{order}", query=f"?at={written_instant(then)}")


async def asked_another_person(world: World, it: "Recorder") -> None:
    """Overrides that wait for a second person, who confirms one; another is withdrawn, and another has changed."""
    console = await world.database.clients.add(
        channel=MANAGE,
        name="Console",
        permissions=frozenset(),
        key="c" * 24,
        secret_sha256=hash_of(new_secret()),
        identity=None,
        now=world.clock(),
    )
    author, approver = [
        world.manage_headers(await world.person(name, role, client=Caller(console)))
        for name, role in (("kim", Role.AUTHOR), ("lee", Role.APPROVER))
    ]
    it.world, it.headers["manage"] = world, author
    called_off = {"reason": "The visit is called off", "override": ["appointment_within_notice"]}
    partner, approvals = await world.connect_client(), []
    for number in range(3):
        order = await world.service_order(partner, appointment_in=timedelta(hours=20))
        await world.pay(order, f"psp-20261121-3{number}")
        asked = await it.call("manage", "cancelOrder", called_off, id=f"connect-{order}", keep=number == 0)
        approvals.append(asked.json()["approval"])
        if number == 1:
            await world.pay(order, "psp-20261121-40")
    first, changed, withdrawn = approvals
    await it.call("manage", "confirmApproval", approval=first)
    await it.call("manage", "readApproval", approval=first)
    await it.call("manage", "readApproval", approval=first, query="?state=open")
    await it.call("manage", "listApprovals", query="?state=open")
    await it.call("manage", "listApprovals", query="?state=due")
    await it.call("manage", "withdrawApproval", approval=withdrawn)
    it.headers["manage"] = approver
    await it.call("manage", "withdrawApproval", approval=changed)
    for approval in (first, changed, withdrawn):
        await it.call("manage", "confirmApproval", approval=approval)


async def read_events(it: "Recorder", service_order: dict[str, Any]) -> None:
    """The events of an order that is paid and cancelled, the end of the feed, and cursors that lead nowhere."""
    begin = (await it.call("manage", "listEvents", query="?limit=1000", keep=False)).json()["next"]
    order = (await it.call("connect", "createOrder", service_order, keep=False)).json()["id"]
    payment = {"reference": "psp-20261121-50", "amount": 25, "currency": "EUR"}
    await it.call("manage", "recordPayment", payment, id=f"connect-{order}", keep=False)
    await it.call("manage", "cancelOrder", {"reason": "Ordered twice"}, id=f"connect-{order}", keep=False)
    await it.call("manage", "listEvents", query=f"?after={begin}")
    await it.call("manage", "listEvents", query="?after=2-1")
    await it.call("manage", "listEvents", query="?after=first&limit=0&wait=60")
