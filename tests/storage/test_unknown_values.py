"""A row that a newer version wrote, with a value that this one does not know, takes nothing from its neighbours.

Each column that holds one of several words, or a document with such words, gets one that nobody knows in one row. Then
orders are cancelled, listed, read, paid, expired and forgotten, and clients call.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import String, Text, insert, update
from structlog.testing import capture_logs

from countermand.actions.appointments.load_calendar import slot_at
from countermand.actions.appointments.ports import OpenSlot
from countermand.actions.ordering.expire import Expired, expire_due
from countermand.actions.ordering.views import OrderView
from countermand.actions.ticketing.consumers import keep_consumer
from countermand.domain.actor import Actor
from countermand.domain.appointments.appointment_task import AppointmentTask, TaskId, TaskKind, TaskState
from countermand.domain.cancelling.approval import Approval, ApprovalId, Terms
from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE as CHANNEL_OF_OPERATOR
from countermand.domain.money import Money
from countermand.domain.orders.order import OrderId
from countermand.domain.orders.order_state import Transition
from countermand.domain.orders.payment_correction import Correction, CorrectionKind, RefundState
from countermand.domain.staff import Role
from countermand.domain.staff_id import StaffId
from countermand.domain.ticketing.consumer import Consumer
from countermand.storage.retention import (
    APPROVALS,
    CANCELLATIONS,
    DELIVERED_ORDER_EVENTS,
    IDEMPOTENCY_KEYS,
    REFUSALS,
    RETIRED_KEYS,
    USED_ASSERTIONS,
    forget,
)
from countermand.storage.tables.columns import metadata
from support.catalogue import a_product, an_event, put
from support.restores import restore
from support.shared_world import shared_world
from support.world import EVERYTHING, NOON, PUBLIC_URL, Caller, World

world = shared_world

WORD = "teleported"
CONNECT = "/api/connect/orders"
MANAGE = "/manage/v1"
UNPAID = timedelta(minutes=1)
A_TASK = 900


@dataclass
class Scene:
    """Two of everything: of each pair the first is to be spoiled. `spoiled` is what the column's row belongs to."""

    world: World
    partner: Caller
    shop: Caller
    operator: Caller
    stranger: Caller
    person: Caller
    telecom: list[OrderId] = field(default_factory=list)
    visited: list[OrderId] = field(default_factory=list)
    tickets: list[OrderView] = field(default_factory=list)
    paid: list[OrderView] = field(default_factory=list)
    due: list[OrderView] = field(default_factory=list)
    cancelled: list[OrderId] = field(default_factory=list)
    restored: list[OrderId] = field(default_factory=list)
    refused: list[OrderId] = field(default_factory=list)
    products: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    consumers: list[str] = field(default_factory=list)

    async def spoil(self, table: str, where: dict[str, Any], values: dict[str, Any]) -> None:
        it = metadata.tables[table]
        change = update(it).where(*(it.c[name] == value for name, value in where.items())).values(values)
        async with self.world.database.store.transaction() as tx:
            assert await tx.run(change) > 0, "there is no such row"

    async def cancel(self, order: OrderId | OrderView, key: str | None = None) -> httpx.Response:
        keyed = {} if key is None else {"Idempotency_Key": key}
        if isinstance(order, OrderView):
            headers = self.world.shopping_headers(self.shop, **keyed)
            body = {"order": self.world.uri(order), "reason": "r"}
            return await self.world.http.post("/ordercancellation/", json=body, headers=headers)
        headers = self.world.connect_headers(self.partner, **keyed)
        return await self.world.http.post(f"{CONNECT}/cancel", json={"orderId": order}, headers=headers)

    async def name(self, order_id: int) -> str:
        """The order's id in the management API."""
        (order,) = await self.world.rows("orders", order_id)
        (details,) = await self.world.rows("order_details", order_id)
        return details["uid"] or f"{order['contract']}-{order_id}"

    async def managed(self, path: str) -> httpx.Response:
        return await self.world.http.get(MANAGE + path, headers=self.world.manage_headers(self.operator))

    async def as_partner(self, path: str) -> httpx.Response:
        return await self.world.http.get(CONNECT + path, headers=self.world.connect_headers(self.partner))

    async def as_shop(self, path: str) -> httpx.Response:
        return await self.world.http.get(path, headers=self.world.shopping_headers(self.shop))

    async def row(self, order: OrderId | OrderView) -> dict[str, Any]:
        (row,) = await self.world.rows("orders", order.order.id if isinstance(order, OrderView) else order)
        return row


async def a_scene(world: World) -> Scene:
    scene = Scene(
        world,
        await world.connect_client(),
        await world.shopping_client(),
        await world.manage_client(),
        await world.shopping_client(permissions=EVERYTHING - {Permission.READ_ALL}),
        await world.person("kim", Role.ADMIN),
    )
    event = an_event()
    sold = [a_product(event, currency="EUR") for _ in range(2)]
    await put(world, event, *sold)
    scene.products = [one.uid for one in sold]
    for _ in range(2):
        scene.telecom.append(await world.service_order(scene.partner))
        scene.visited.append(await world.service_order(scene.partner, appointment_in=timedelta(hours=30)))
        scene.tickets.append(await world.ticket_order(scene.shop, product=await world.product()))
        scene.paid.append(await world.ticket_order(scene.shop, paid=True))
        scene.due.append(await world.ticket_order(scene.shop))
        scene.methods.append(await world.payment_method())
        scene.cancelled.append(await world.service_order(scene.partner))
        scene.restored.append(await world.service_order(scene.partner))
        await world.cancel(scene.operator, scene.restored[-1], on_behalf=True)
        await restore(world, scene.restored[-1])
        scene.refused.append(await world.service_order(scene.partner, appointment_in=timedelta(hours=1)))
        assert (await scene.cancel(scene.cancelled[-1], f"yes-{len(scene.cancelled)}")).status_code == 200
        assert (await scene.cancel(scene.refused[-1], f"no-{len(scene.refused)}")).status_code == 422
    async with world.database.store.transaction() as tx:
        for _ in range(2):
            kept = await keep_consumer(tx, scene.shop.client, Consumer(first_name="Zoë"), NOON)
            scene.consumers.append(kept.uid)
        for number, order_id in enumerate(scene.visited):
            starts_at = NOON + timedelta(days=2)
            slot = slot_at(f"slot-{number}", "", starts_at, starts_at + timedelta(hours=4), None, 5)
            await tx.add_slot(OpenSlot(slot=slot.slot, area="", capacity=5, booked=0))
            in_it = {"slot_id": f"slot-{number}", "half_day": "AM", "utc_offset_s": 0}
            appointments = metadata.tables["appointments"]
            await tx.run(update(appointments).where(appointments.c.order_id == order_id).values(in_it))
            await tx.insert_task(
                AppointmentTask(
                    id=TaskId(A_TASK + number),
                    order_id=order_id,
                    client_id=scene.partner.client.id,
                    kind=TaskKind.BOOK,
                    state=TaskState.PENDING,
                    asked_at=NOON,
                    slots=(slot.slot,),
                    offer_id=TaskId(1),
                )
            )
        for order in scene.paid:
            due = Correction(
                number=1,
                kind=CorrectionKind.REFUND,
                money=Money(minor=1, currency="EUR"),
                reason="r",
                recorded_at=NOON,
                actor=Actor(scene.operator.client.id, CHANNEL_OF_OPERATOR),
                state=RefundState.DUE,
            )
            await tx.insert_correction(order.order.id, due)
            approval = Approval(
                id=ApprovalId(secrets.token_hex(16)),
                order_id=order.order.id,
                terms=Terms(order_version=2, codes=("payment_recorded",), due=(due.money,)),
                reason="r",
                asker=Actor(scene.operator.client.id, CHANNEL_OF_OPERATOR, StaffId("kim")),
                asked_at=NOON,
                last_change=0,
            )
            await tx.insert_approval(approval)
        for order in scene.due:
            await tx.forget_expiry(order.order.id)
            await tx.expire_at(order.order.id, NOON + UNPAID)
    return scene


Where = Callable[[Scene], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """How a column gets a value that nobody knows, and in which row."""

    where: Where
    value: Any = WORD
    also: dict[str, Any] = field(default_factory=dict)


def first(name: str, column: str = "order_id") -> Where:
    """The row of the first order of a kind."""

    def where(scene: Scene) -> dict[str, Any]:
        order = getattr(scene, name)[0]
        return {column: order.order.id if isinstance(order, OrderView) else order}

    return where


def key(of: str) -> Where:
    return lambda scene: {"client_id": scene.partner.client.id, "key": f"{of}-1"}


def policy_of_refusals(scene: Scene) -> dict[str, Any]:
    return {"version": scene.world.service.commit.run.policies.by_contract["connect"].version}


# Documents in another form than this version's.
_OTHER_DETAILS = json.dumps({"locationId": {"of": WORD}, "currency": 7})
_OTHER_CONSUMER = json.dumps({"first_name": {"en": WORD}})
_SLOTS = json.dumps([{"id": "s", "starts_at": 0, "ends_at": 1, "half_day": WORD, "utc_offset_s": 0}])
_POLICY = json.dumps({"contract": WORD, "rules": [{"name": "state_allows", "code": "c", "comparison": {"is": WORD}}]})
HOLDS_WORDS = {
    "clients.door": Spoiled(where=lambda scene: {"id": scene.stranger.client.id}),
    "clients.permissions": Spoiled(
        where=lambda scene: {"id": scene.stranger.client.id}, value=json.dumps(["read", WORD, "cancel"])
    ),
    "clients.more_permissions": Spoiled(
        where=lambda scene: {"id": scene.stranger.client.id}, value=json.dumps(["money", WORD])
    ),
    "orders.contract": Spoiled(where=first("telecom", "id")),
    "orders.state": Spoiled(where=first("telecom", "id")),
    "order_details.currency": Spoiled(where=first("paid"), value="JPY"),
    "order_details.details": Spoiled(where=first("telecom"), value=_OTHER_DETAILS),
    "consumers.details": Spoiled(where=lambda scene: {"uid": scene.consumers[0]}, value=_OTHER_CONSUMER),
    "appointments.state": Spoiled(where=first("visited")),
    "appointments.cancelled_from": Spoiled(where=first("visited")),
    "appointments.half_day": Spoiled(where=first("visited"), value="EV"),
    "slots.half_day": Spoiled(where=lambda _: {"id": "slot-0"}, value="EV"),
    "appointment_tasks.kind": Spoiled(where=lambda _: {"id": A_TASK}),
    "appointment_tasks.state": Spoiled(where=lambda _: {"id": A_TASK}),
    "appointment_tasks.slots": Spoiled(where=lambda _: {"id": A_TASK}, value=_SLOTS),
    "payments.currency": Spoiled(where=first("paid"), value="JPY"),
    "payment_corrections.kind": Spoiled(where=first("paid")),
    "payment_corrections.state": Spoiled(where=first("paid")),
    "payment_corrections.currency": Spoiled(where=first("paid"), value="JPY"),
    "payment_corrections.channel": Spoiled(where=first("paid")),
    "approvals.channel": Spoiled(where=first("paid")),
    "approvals.state": Spoiled(where=first("paid")),
    "approvals.differed": Spoiled(where=first("paid")),
    "approvals.due": Spoiled(where=first("paid"), value='{"amounts": [{"amount_minor": 1, "currency": "JPY"}]}'),
    "products.currency": Spoiled(where=lambda scene: {"uid": scene.products[0]}, value="JPY"),
    "methods.currency": Spoiled(where=lambda scene: {"uid": scene.methods[0]}, value="JPY"),
    "methods.kind": Spoiled(where=lambda scene: {"uid": scene.methods[0]}),
    "cancellations.contract": Spoiled(where=first("cancelled")),
    "cancellations.door": Spoiled(where=first("cancelled")),
    "cancellations.state": Spoiled(where=first("cancelled")),
    "undone_cancellations.contract": Spoiled(where=first("restored")),
    "undone_cancellations.door": Spoiled(where=first("restored")),
    "undone_cancellations.state": Spoiled(where=first("restored")),
    "undone_cancellations.undone_door": Spoiled(where=first("restored")),
    "refusals.contract": Spoiled(where=first("refused")),
    "refusals.door": Spoiled(where=first("refused")),
    "refusals.state": Spoiled(where=first("refused")),
    "policies.contract": Spoiled(where=policy_of_refusals),
    "policies.content": Spoiled(where=policy_of_refusals, value=_POLICY),
    "outbox.kind": Spoiled(where=first("telecom")),
    "outbox.channel": Spoiled(where=first("telecom")),
    "idempotency_keys.state": Spoiled(where=key("no")),
    # neither an answer nor the outcome of a cancellation
    "idempotency_keys.answer": Spoiled(where=key("yes"), value=None, also={"order_id": None, "cancelled": None}),
    # seen by the token endpoint alone, see below
    "signing_keys.private_key": None,
    "client_keys.public_key": None,
    # what endpoints of a newer version want and say, see tests/actions/delivering/
    "endpoints.state": None,
    "endpoints.dialect": None,
    "endpoints.kinds": None,
    "endpoints.contract": None,
    "deliveries.kind": None,
    "delivery_attempts.error": None,
    "staff.roles": Spoiled(where=lambda _: {"id": "kim"}, value=json.dumps([WORD, "admin"])),
}
# What a caller, an operator or we made up, and nobody compares with a list.
FREE = {
    "clients": {
        *("name", "key", "secret_sha256", "issuer", "subject", "redirect_url", "redirect_schemes"),
        "previous_secret_sha256",
    },
    # no node reads them, but to write them once more
    "privacy_keys": {"hmac_key"},
    "privacy_requests": {"id", "kind", "person_hmac", "counts", "staff_id", "acting_as"},
    "client_keys": {"kid"},
    "signing_keys": {"kid"},
    "used_assertions": {"jti_sha256"},
    "order_details": {"uid", "reference"},
    "order_lines": {"product_uid", "parent_uid"},
    "appointments": {"slot_id", "remote_id"},
    "slots": {"id", "area"},
    "appointment_tasks": {"from_date", "failure"},  # a code and a sentence, shown as they are
    "payments": {"reference"},
    "payment_references": {"reference"},
    "payment_corrections": {"reference", "payment_reference", "reason", "staff_id", "acting_as", "address"},
    "correction_references": {"kind", "reference"},  # compared alone
    "tickets": {"uid", "product_uid", "code"},
    "voucher_uses": {"code"},
    "consumers": {"uid"},
    "cancellations": {
        *("command_id", "policy_version", "reason", "overridden", "staff_id", "acting_as", "address"),
        *("approved_by", "key"),
    },
    "undone_cancellations": {
        *("command_id", "policy_version", "reason", "overridden", "staff_id", "acting_as", "address"),
        *("approved_by", "key", "undone_reason", "undone_staff_id", "undone_acting_as", "undone_address"),
    },
    "approvals": {"id", "codes", "reason", "staff_id", "acting_as", "address", "ended_by"},
    "staff_changes": {"staff_id", "changed_by"},
    "refusals": {"command_id", "policy_version", "reason", "codes", "staff_id", "acting_as", "address"},
    "policies": {"version"},
    "policies_in_force": {"contract", "version"},  # found by the names in force
    "order_search": {"handle"},
    "task_progress": {"name"},
    "event_feed": {"kind", "digest"},  # shown as they are
    "outbox": {"details", "staff_id", "acting_as", "address", "digest"},  # shown as they are
    "endpoints": {"id", "url", "paused_because"},
    "deliveries": {"digest", "state", "content_type", "headers"},  # the state is compared with those of this version
    "delivery_lanes": {"lease"},
    "delivery_attempts": {"kind", "event_id", "address", "detail", "outcome"},  # shown as they are
    "staff": {"id", "name"},
    "staff_tokens": {"key", "staff_id", "secret_sha256"},
    "idempotency_keys": {"key", "fingerprint", "message_fingerprint", "policy_version"},
    "counters": {"name"},
    "events": {"uid", "reference", "title", "merchant_name", "details"},
    "products": {"uid", "name", "event_uid", "reference", "details"},
    "product_parts": {"combo_uid", "part_uid"},
    "seats": {"product_uid", "section", "row"},
    "methods": {"uid", "name", "image", "details"},
    "vouchers": {"code", "event_uid", "product_uids"},
}


def test_every_column_of_text_holds_words_that_a_version_may_not_know_or_is_free():
    texts = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, String | Text)
    }
    free = {f"{table}.{column}" for table, columns in FREE.items() for column in columns}
    assert free & HOLDS_WORDS.keys() == set()
    assert texts == free | HOLDS_WORDS.keys(), "say of each new column which it is, and what this version does with it"


@pytest.fixture
def log() -> Iterator[None]:
    """Meanwhile no error is logged, and no stack trace."""
    with capture_logs() as lines:
        yield
    assert [line for line in lines if line["log_level"] in {"error", "critical"} or "exc_info" in line] == []


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("column", [name for name, spoiled in HOLDS_WORDS.items() if spoiled is not None])
async def test_a_word_that_nobody_knows_takes_nothing_from_the_rows_beside_it(world: World, column: str):
    scene = await a_scene(world)
    spoiled, (table, name) = HOLDS_WORDS[column], column.split(".")
    assert spoiled is not None
    assert (await scene.as_shop("/orders")).status_code == 200  # all are remembered
    await scene.spoil(table, spoiled.where(scene), {name: spoiled.value, **spoiled.also})

    await everybody_still_calls(scene)
    await lists_show_the_others(scene)
    await management_reads_all(scene)
    await a_batch_is_cancelled(scene, knows_first=table != "orders")
    await answers_are_given_again(scene, knows_no=column != "policies.content")
    await what_is_due_expires(scene)
    for kept in (
        IDEMPOTENCY_KEYS,
        DELIVERED_ORDER_EVENTS,
        REFUSALS,
        APPROVALS,
        USED_ASSERTIONS,
        RETIRED_KEYS,
        CANCELLATIONS,
    ):
        await forget(world.database.store, kept, NOON + timedelta(days=1), at_most=1000)
    assert await world.rows("refusals") == []
    assert await world.rows("approvals") == []


async def everybody_still_calls(scene: Scene) -> None:
    for _ in range(2):  # known, and read again
        assert (await scene.as_partner("")).status_code == 200
        assert (await scene.managed("/clients")).status_code == 200
        staff = await scene.world.http.get(f"{MANAGE}/staff", headers=scene.world.manage_headers(scene.person))
        assert staff.status_code == 200, staff.text
    assert (await scene.world.http.get("/readyz")).status_code == 200
    assert len(await scene.world.database.clients.all()) == 5


async def lists_show_the_others(scene: Scene) -> None:
    shown = {one["id"]: one["status"] for one in (await scene.as_partner("")).json()["orders"]}
    assert {*scene.telecom[1:], *scene.visited[1:], scene.refused[1]} <= shown.keys()
    assert shown[scene.telecom[1]] == "submitted"
    tickets = (await scene.as_shop("/orders")).json()["_embedded"]["shop:order"]
    assert {one.order.uid for one in (*scene.tickets, *scene.paid)} <= {one["uid"] for one in tickets}
    people = (await scene.as_shop("/consumers")).json()["_embedded"]["shop:consumer"]
    assert scene.consumers[1] in {one["uid"] for one in people}
    products = await scene.as_shop("/products")
    assert scene.products[1] in {one["uid"] for one in products.json()["_embedded"]["shop:product"]}
    body = {
        "products": [{"product": f"{PUBLIC_URL}/products/{scene.products[1]}", "quantity": 1}],
        "consumer": {"first_name": "John", "country": "NL"},
    }
    bill = await scene.world.http.post("/bill", json=body, headers=scene.world.shopping_headers(scene.shop))
    assert bill.status_code == 200, bill.text
    assert scene.methods[1] in bill.text
    for name, order_id in (("appointments", scene.visited[1]), ("cancellability", scene.telecom[1])):
        assert (await scene.as_partner(f"/{order_id}/{name}")).status_code == 200
    for order_id in (scene.telecom[0], scene.visited[0]):
        assert (await scene.as_partner(f"/{order_id}")).status_code in {200, 404}
        assert (await scene.as_partner(f"/{order_id}/cancellability")).status_code in {200, 404, 503}


async def management_reads_all(scene: Scene) -> None:
    orders = [*scene.telecom, *scene.visited, *scene.cancelled, *scene.refused]
    orders += [one.order.id for one in (*scene.tickets, *scene.paid, *scene.due)]
    for order_id in orders:
        answer = await scene.managed(f"/orders/{await scene.name(order_id)}")
        assert answer.status_code == 200, answer.text
    tasks = await scene.managed("/appointment-tasks")
    assert A_TASK + 1 in {one["id"] for one in tasks.json()["tasks"]}
    slots = await scene.managed("/calendar/slots")
    assert {one["id"] for one in slots.json()["slots"]} == {"slot-0", "slot-1"}
    approvals = (await scene.managed("/approvals")).json()["approvals"]
    assert len(approvals) == len(scene.paid)
    for one in approvals:
        assert (await scene.managed(f"/approvals/{one['id']}")).json() == one
    catalogue = await scene.managed("/catalogue")
    assert catalogue.status_code == 200, catalogue.text


async def a_batch_is_cancelled(scene: Scene, *, knows_first: bool) -> None:
    orders = [*scene.telecom, *scene.tickets, *scene.visited]
    before = await scene.row(scene.telecom[0])
    refusals = len(await scene.world.rows("refusals"))
    answers = await asyncio.gather(*(scene.cancel(order, f"batch-{n}") for n, order in enumerate(orders)))
    assert [answer.status_code for answer in answers[1:]] == [200] * (len(orders) - 1)
    for order in orders[1:]:
        assert (await scene.row(order))["state"] == "cancelled"
    if knows_first:
        assert answers[0].status_code == 200
        return
    # Nothing is decided over it, neither yes nor no: a node that knows it may do either.
    assert answers[0].status_code == 503
    assert "does not know" in answers[0].text
    assert answers[0].headers["retry-after"] == "1"
    assert await scene.row(scene.telecom[0]) == before
    assert await scene.world.rows("cancellations", scene.telecom[0]) == []
    assert len(await scene.world.rows("refusals")) == refusals
    assert "batch-0" not in {row["key"] for row in await scene.world.rows("idempotency_keys")}


async def answers_are_given_again(scene: Scene, *, knows_no: bool) -> None:
    """Under the keys of before: the neighbours' to the byte, the spoiled one's, or certainly nothing."""
    for number in (2, 1):
        yes = await scene.cancel(scene.cancelled[number - 1], f"yes-{number}")
        no = await scene.cancel(scene.refused[number - 1], f"no-{number}")
        assert yes.status_code in ({200} if number == 2 else {200, 503})
        assert no.status_code in ({422} if knows_no else {422, 503})  # one policy refused both


async def what_is_due_expires(scene: Scene) -> None:
    scene.world.clock.forward(minutes=2)
    await expire_due(scene.world.database.store, scene.world.clock(), at_most=100)
    assert [(await scene.row(order))["state"] for order in scene.due] == ["expired"] * 2


# what an operator sees, and what is not decided


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("column", ["state", "contract"])
async def test_an_order_that_nobody_knows_is_shown_as_it_is_and_never_changed(world: World, column: str):
    scene = await a_scene(world)
    orders = [scene.telecom[0], scene.tickets[0].order.id, scene.due[0].order.id, scene.paid[0].order.id]
    for order_id in orders:
        await scene.spoil("orders", {"id": order_id}, {column: WORD})
    before = [await scene.row(order_id) for order_id in orders]
    for order_id in orders:
        name = await scene.name(order_id)
        assert (await scene.managed(f"/orders/{name}")).json()[column] == WORD
        assert (await scene.managed(f"/orders/{name}/cancellability")).status_code == 503
        headers = world.manage_headers(scene.operator)
        for path, body in (
            ("cancel", {"reason": "r"}),
            ("payments", {"reference": "p", "amount": 1, "currency": "EUR"}),
            ("moves", {"move": "reject"}),
            ("appointments", {"starts_at": "2026-11-25T08:00:00Z", "ends_at": "2026-11-25T12:00:00Z"}),
        ):
            answer = await world.http.post(f"{MANAGE}/orders/{name}/{path}", json=body, headers=headers)
            assert answer.status_code == 503, (path, answer.text)
            assert WORD in answer.json()["detail"]
    world.clock.forward(minutes=2)
    await expire_due(world.database.store, world.clock(), at_most=100)
    assert [await scene.row(order_id) for order_id in orders] == before
    due = scene.due[0].order.id
    assert await world.rows("expiries", due) != []  # for a node that knows it
    assert (await scene.row(scene.due[1]))["state"] == "expired"
    # its tickets open no door
    found = await scene.as_shop(f"/tickets/{scene.paid[0].tickets[0].uid}")
    assert found.status_code == (404 if column == "contract" else 200)
    assert column == "contract" or found.json()["valid"] is False
    shown = await scene.as_shop(f"/orders/{scene.tickets[0].order.uid}")
    assert (shown.status_code, shown.json().get("status")) == ((404, None) if column == "contract" else (200, WORD))


@pytest.mark.usefixtures("log")
async def test_an_order_whose_details_nobody_can_read_is_not_shown_and_is_decided_over_as_any_other(world: World):
    scene = await a_scene(world)
    telecom, visited = scene.telecom[0], scene.visited[0]
    tickets, paid, due = scene.tickets[0], scene.paid[0], scene.due[0]
    for order_id in (telecom, visited, tickets.order.id, paid.order.id, due.order.id):
        await scene.spoil("order_details", {"order_id": order_id}, {"details": _OTHER_DETAILS})
    # not shown by a contract, nor by a page, but by the operator's API
    token = tickets.ticket_details.order_token
    for answer in (
        await scene.as_partner(f"/{telecom}"),
        await scene.as_partner(f"/{visited}/appointments"),
        await scene.as_shop(f"/orders/{tickets.order.uid}"),
        await scene.as_shop(f"/tickets/{paid.tickets[0].uid}"),
        await world.http.get(f"/etickets/{paid.ticket_details.etickets_token}"),
    ):
        assert answer.status_code == 404, answer.text
    by_token = await world.http.get(f"/orders/{tickets.order.uid}", headers={"Order-Token": token})
    assert by_token.status_code == 401
    assert telecom not in {one["id"] for one in (await scene.as_partner("")).json()["orders"]}
    mine = {row["id"] for row in await world.rows("orders") if row["client_id"] == scene.partner.client.id}
    assert await all_listed(scene) == mine - {telecom, visited}
    assert tickets.order.uid not in (await scene.as_shop("/orders")).text
    for order_id in (telecom, tickets.order.id):
        shown = (await scene.managed(f"/orders/{await scene.name(order_id)}")).json()
        assert (shown["state"] in {"submitted", "pending"}, shown["order_token"]) == (True, None)
    # what must know the details is answered 503, and nothing is done
    before = await world.rows("payments")
    slots = {"orderId": telecom, "dateFrom": "2026-12-01"}
    partner, shop = world.connect_headers(scene.partner), world.shopping_headers(scene.shop)
    given_on = {"tickets": [f"{PUBLIC_URL}/tickets/{paid.tickets[0].uid}"], "consumer": {}}
    for path, body, headers in (
        ("/api/connect/orders/appointment-requests/request", slots, partner),
        ("/orders", given_on, shop),
        ("/bill", given_on, shop),
    ):
        answer = await world.http.post(path, json=body, headers=headers)
        assert answer.status_code == 503, (path, answer.text)
        assert answer.headers["retry-after"] == "1"
    assert await world.rows("payments") == before
    # decisions look at the order's row alone
    assert (await scene.cancel(telecom)).status_code == 200
    assert (await scene.cancel(paid)).status_code == 403
    await scene.cancel(tickets)
    world.clock.forward(minutes=2)
    await expire_due(world.database.store, world.clock(), at_most=100)
    states = [(await scene.row(one))["state"] for one in (telecom, tickets, paid, due)]
    assert states == ["cancelled", "cancelled", "completed", "expired"]


@pytest.mark.usefixtures("log")
async def test_a_consumer_that_nobody_can_read_is_not_shown_and_no_order_names_it(world: World):
    scene = await a_scene(world)
    uid = scene.consumers[0]
    await scene.spoil("consumers", {"uid": uid}, {"details": _OTHER_CONSUMER})
    assert (await scene.as_shop(f"/consumers/{uid}")).status_code == 404
    headers, people = world.shopping_headers(scene.shop), await world.rows("consumers")
    for body in ({"uid": uid}, {"uid": uid, "city": "Leiden"}):
        answer = await world.http.post("/consumers", json=body, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await world.rows("consumers") == people


async def test_orders_that_nobody_knows_are_in_nobodys_way_however_many_are_due(world: World):
    scene = await a_scene(world)
    for n in range(5):
        order = await world.ticket_order(scene.shop)
        await scene.spoil("orders", {"id": order.order.id}, {"state" if n % 2 else "contract": WORD})
        async with world.database.store.transaction() as tx:
            await tx.expire_at(order.order.id, NOON)
    world.clock.forward(minutes=2)
    assert await expire_due(world.database.store, world.clock(), at_most=2) == Expired(due=2, failed=0)
    assert [(await scene.row(order))["state"] for order in scene.due] == ["expired"] * 2


async def test_an_unknown_permission_is_shown_and_gives_nothing_and_the_others_stay(world: World):
    scene = await a_scene(world)
    changed = {"permissions": json.dumps(["read", WORD]), "more_permissions": None}
    await scene.spoil("clients", {"id": scene.stranger.client.id}, changed)
    headers = world.shopping_headers(scene.stranger)
    assert (await world.http.get("/orders", headers=headers)).status_code == 200
    refused = await world.http.post("/ordercancellation/", json={"order": "x", "reason": "r"}, headers=headers)
    assert refused.status_code == 403
    listed = {one["id"]: one for one in (await scene.managed("/clients")).json()["clients"]}
    assert listed[scene.stranger.client.id]["permissions"] == ["read", WORD]


async def test_a_client_of_an_unknown_door_is_shown_and_revoked_but_never_called_by_or_given_a_new_key(world: World):
    scene = await a_scene(world)
    client_id = scene.stranger.client.id
    await scene.spoil("clients", {"id": client_id}, {"door": WORD})
    for headers, path in (
        (world.shopping_headers(scene.stranger), "/orders"),
        (world.manage_headers(scene.stranger), f"{MANAGE}/clients"),
    ):
        assert (await world.http.get(path, headers=headers)).status_code == 401
    listed = {one["id"]: one for one in (await scene.managed("/clients")).json()["clients"]}
    assert listed[client_id]["contract"] == WORD
    headers = world.manage_headers(scene.operator)
    assert (await world.http.post(f"{MANAGE}/clients/{client_id}/rotate", headers=headers)).status_code == 404
    revoked = await world.http.post(f"{MANAGE}/clients/{client_id}/revoke", headers=headers)
    assert (revoked.status_code, revoked.json()["contract"]) == (200, WORD)


async def test_a_visit_in_an_unknown_state_is_shown_and_nobody_agrees_another_beside_it(world: World):
    scene = await a_scene(world)
    order_id = scene.visited[0]
    await scene.spoil("appointments", {"order_id": order_id}, {"state": WORD})
    (visit,) = (await scene.managed(f"/orders/connect-{order_id}")).json()["appointments"]
    assert visit["state"] == WORD
    headers, times = (
        world.manage_headers(scene.operator),
        {"starts_at": "2026-11-25T08:00:00Z", "ends_at": "2026-11-25T12:00:00Z"},
    )
    at = f"{MANAGE}/orders/connect-{order_id}/appointments"
    before = await world.rows("appointments", order_id)
    for answer in (
        await world.http.post(at, json=times, headers=headers),
        await world.http.put(f"{at}/{visit['id']}", json=times, headers=headers),
        await world.http.post(f"{at}/{visit['id']}/state", json={"state": "completed"}, headers=headers),
        await world.http.delete(f"{at}/{visit['id']}", headers=headers),
    ):
        assert (answer.status_code, WORD in answer.text) == (503, True)
    assert await world.rows("appointments", order_id) == before


@pytest.mark.parametrize("column", ["kind", "state"])
async def test_a_task_that_nobody_knows_is_answered_by_nobody(world: World, column: str):
    scene = await a_scene(world)
    await scene.spoil("appointment_tasks", {"id": A_TASK}, {column: WORD})
    before = await world.rows("appointment_tasks", scene.visited[0])
    headers = world.manage_headers(scene.operator)
    path = f"{MANAGE}/orders/connect-{scene.visited[0]}/appointment-tasks/{A_TASK}/answer"
    answer = await world.http.post(path, json={"refused": {"code": "c", "message": "m"}}, headers=headers)
    assert (answer.status_code, WORD in answer.text) == (503, True)
    assert await world.rows("appointment_tasks", scene.visited[0]) == before
    asked = await scene.as_partner(f"/appointments/requests/{A_TASK}")
    assert asked.status_code == (404 if column == "kind" else 202)


async def test_what_a_newer_version_kept_under_a_key_is_certainly_not_done_again(world: World):
    scene = await a_scene(world)
    await scene.spoil("idempotency_keys", key("yes")(scene), {"order_id": None, "cancelled": None})
    policy = {"version": "newer", "contract": WORD, "content": '{"rules": {}}', "first_used_at": 0}
    async with world.database.store.transaction() as tx:
        await tx.run(insert(metadata.tables["policies"]).values(policy))
    await scene.spoil("idempotency_keys", key("no")(scene), {"policy_version": "newer"})
    before = await world.rows("idempotency_keys")
    for order_id, its in ((scene.cancelled[0], "yes-1"), (scene.refused[0], "no-1")):
        answer = await scene.cancel(order_id, its)
        assert (answer.status_code, "newer version" in answer.text) == (503, True)
    # another request under the key is another request all the same
    assert (await scene.cancel(scene.telecom[0], "yes-1")).status_code == 422
    assert await world.rows("idempotency_keys") == before


async def test_a_row_that_cannot_be_read_at_all_takes_nothing_from_what_was_committed(world: World):
    scene = await a_scene(world)
    unreadable = 2**62  # microseconds: in no year that Python has
    order_id = await world.service_order(
        scene.partner, moves=(Transition.ACCEPT, Transition.START, Transition.PASS_NO_RETURN)
    )
    await scene.spoil("orders", {"id": order_id}, {"created_at": unreadable})
    answers = await asyncio.gather(
        scene.cancel(scene.telecom[0]), scene.cancel(order_id), scene.cancel(scene.tickets[0])
    )
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert (await scene.row(order_id))["state"] == "past_no_return"


async def all_listed(scene: Scene) -> set[int]:
    """The numbers of the partner's orders, one a page, to the end of the list."""
    listed: set[int] = set()
    path = "?limit=1"
    while path:
        page = (await scene.as_partner(path)).json()
        listed |= {one["id"] for one in page["orders"]}
        path = "" if page["next"] is None else "?" + page["next"].partition("?")[2]
    return listed
