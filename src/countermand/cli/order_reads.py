"""The commands that read orders: find them, show one with its history, and ask why one may not be cancelled."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from countermand.bootstrap.clock import utc_now
from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.errors import named_as_options, option_of
from countermand.cli.option_types import TEXT
from countermand.cli.order_timeline import timeline_lines
from countermand.cli.policy_check import check_policy
from countermand.cli.printing import AsJson, print_json, print_table, said, say
from countermand.cli.queries import (
    AppointmentFilter,
    AppointmentFrom,
    AppointmentUntil,
    CancelledBy,
    ClientFilter,
    ContractFilter,
    EventFilter,
    PaidFilter,
    PlacedFrom,
    PlacedUntil,
    ProductFilter,
    Question,
    RefusedCode,
    StateFilter,
    query_of,
)
from countermand.domain.money import written_minor

if TYPE_CHECKING:
    from pathlib import Path

    from countermand.actions.ordering.history import History
    from countermand.actions.ordering.views import OrderView
    from countermand.bootstrap.database import Database
    from countermand.contracts.manage import messages, search_messages
    from countermand.domain.orders.order import Order, OrderId
    from countermand.settings import Settings

Given = TypeVar("Given")

OrderIdGiven = Annotated[
    str, typer.Argument(help="The order's id, like connect-54, or its uid.", **TEXT | {"metavar": "ORDER_ID"})
]


def find_command(
    q: Question = None,
    contract: ContractFilter = None,
    client: ClientFilter = None,
    state: StateFilter = None,
    event: EventFilter = None,
    product: ProductFilter = None,
    placed_from: PlacedFrom = None,
    placed_until: PlacedUntil = None,
    appointment: AppointmentFilter = None,
    appointment_from: AppointmentFrom = None,
    appointment_until: AppointmentUntil = None,
    paid: PaidFilter = None,
    cancelled_by: CancelledBy = None,
    refused_code: RefusedCode = None,
    after: Annotated[str | None, typer.Option(help="The `next` of the previous page.", **TEXT)] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many orders to print at most.")] = 50,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Find orders by what a customer knows, or by filters. Exact hits come first. Several words must all fit."""
    from countermand.contracts.manage.find import orders_found

    query = query_of(
        q=q,
        contract=contract,
        client=client,
        state=state,
        event=event,
        product=product,
        placed_from=placed_from,
        placed_until=placed_until,
        appointment=appointment,
        appointment_from=appointment_from,
        appointment_until=appointment_until,
        paid=paid,
        cancelled_by=cancelled_by,
        refused_code=refused_code,
        after=after,
        limit=limit,
    )
    with named_as_options(lambda field: "Q" if field == "q" else option_of(field)):
        page = with_database(read_settings(settings), lambda database: orders_found(database.store, query))
    if as_json:
        print_json(page)
    else:
        _print_found(page)


def _print_found(page: "search_messages.OrdersFound") -> None:
    headings = ("id", "reference", "state", "placed", "name", "appointment", "first payment")
    rows = [
        (
            *(one.id, one.reference, one.state, said(one.placed_at), one.name or ""),
            *(said(one.appointment_starts_at), said(one.first_payment_at)),
        )
        for one in page.orders
    ]
    print_table(headings, rows)
    if page.next is not None:
        say(f"There may be more: add --after {page.next}")


def show_command(
    order_id: OrderIdGiven,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Show an order with everything that happened to it, and what each rule found when somebody asked to cancel it."""
    read = read_settings(settings)
    shown = _with_order(settings, order_id, lambda database, named: order_with_history(read, database, named.id))
    if as_json:
        print_json(shown)
        return
    say(f"{shown.id}: {shown.state}, number {shown.reference}, of client {shown.client_id}")
    for visit in shown.appointments:
        say(f"appointment {visit.id} {visit.state}: {said(visit.starts_at)} to {said(visit.ends_at)}")
    for payment in shown.payments:
        late = ", late money" if payment.late else ""
        late += "" if payment.voided_at is None else f", voided {said(payment.voided_at)}"
        money = f"{written_minor(payment.amount_minor)} {payment.currency}"
        say(f"payment {payment.reference}: {money}, {said(payment.recorded_at)}{late}")
    print_money_gone(shown)
    say(*timeline_lines(shown))


async def order_with_history(read: "Settings", database: "Database", order_id: "OrderId") -> "messages.Order":
    """Return an order with its history, as the API answers it."""
    from countermand.actions.ordering.read_orders import read_history

    return await order_message(read, database, *await read_history(database.store, order_id))


async def order_message(
    read: "Settings", database: "Database", view: "OrderView", history: "History"
) -> "messages.Order":
    """Return an order that was read with its history, as the API answers it."""
    from countermand.actions.cancelling.decide_again import policies_of
    from countermand.actions.cancelling.explain import PolicyArchive
    from countermand.bootstrap.database import retention_of
    from countermand.contracts.manage.translate import order_shown
    from countermand.storage.retention import REFUSALS

    policies = await policies_of(PolicyArchive(store=database.store), history.decisions)
    refusals_since = utc_now() - retention_of(read)[REFUSALS]
    return order_shown(view, history, policies, None, refusals_since=refusals_since)


def print_money_gone(shown: "messages.Order") -> None:
    """Print the refunds and chargebacks of an order, and what is kept."""
    for one in shown.corrections:
        if one.kind != "void":
            state = "" if one.state is None else f" {one.state}"
            money = f"{written_minor(one.amount_minor)} {one.currency}"
            say(f"{one.kind}{state} {one.reference or one.id}: {money}, {one.reason}")
    for balance in shown.money:
        parts = {
            "kept": balance.kept_minor,
            "due": balance.due_minor,
            "refunded": balance.refunded_minor,
            "charged back": balance.charged_back_minor,
            "late": balance.late_minor,
            "voided": balance.voided_minor,
        }
        where = ", ".join(f"{name} {written_minor(minor)}" for name, minor in parts.items() if minor)
        say(f"money: {written_minor(balance.recorded_minor)} {balance.currency} recorded; {where or 'nothing'}")


def why_command(
    order_id: OrderIdGiven,
    at: Annotated[
        str | None,
        typer.Option(help="Decide for this instant, like 2026-11-23T01:00:00Z.  [default: now]", **TEXT),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Say whether an order may be cancelled, why, and until when. Changes nothing.

    The policy is that of the settings. If the servers have another one, nothing is said: give their settings.
    """
    from countermand.actions.cancelling.explain import PolicyArchive
    from countermand.actions.cancelling.explain_past import explain_at
    from countermand.contracts.manage.calls import instant_in
    from countermand.contracts.manage.translate import decision_shown

    instant = None if at is None else instant_in("--at", at)

    async def why(database: "Database", named: "Order") -> "messages.Decision":
        await check_policy(database, named, "nothing was decided")
        store, archive = database.store, PolicyArchive(store=database.store)
        now = utc_now()
        return decision_shown(await explain_at(store, archive, database.policies, named.id, at=instant, now=now))

    decision = _with_order(settings, order_id, why)
    if as_json:
        print_json(decision)
        return
    may = "may be cancelled" if decision.cancellable else "may not be cancelled"
    until = "" if decision.cancellable_until is None else f" until {said(decision.cancellable_until)}"
    say(f"{decision.order_id} {may}{until} (at {said(decision.at)})")
    for finding in decision.findings:
        say(f"{'passed' if finding.passed else 'refused'}: {finding.message}")


def _with_order(settings: "Path | None", given: str, do: "Callable[[Database, Order], Awaitable[Given]]") -> Given:
    """Run `do` with the database and the order that an id names."""

    async def with_order(database: "Database") -> Given:
        return await do(database, await order_given(database, given))

    return with_database(read_settings(settings), with_order)


async def order_given(database: "Database", given: str) -> "Order":
    """Return the order that the argument ORDER_ID names. Raises as `order_named` does, in the argument's name."""
    from countermand.contracts.manage.order_ids import order_named

    with named_as_options(lambda _: "ORDER_ID"):
        async with database.store.snapshot() as reading:
            return await order_named(reading, given)
