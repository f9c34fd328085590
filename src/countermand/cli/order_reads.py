"""The commands that read orders: find them, show one with its history, and ask why one may not be cancelled."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from countermand.cli.database import SettingsFile, read_settings, with_database
from countermand.cli.option_types import TEXT
from countermand.domain.money import written_minor

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from countermand.bootstrap.database import Database
    from countermand.contracts.manage import messages, search_messages
    from countermand.domain.orders.order import Order

Given = TypeVar("Given")

OrderIdGiven = Annotated[
    str, typer.Argument(help="The order's id, like connect-54, or its uid.", **TEXT | {"metavar": "ORDER_ID"})
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, as /manage/v1 answers.")]
_WIDE = 1000  # characters: in a pipe, each order is one whole line


def find_command(
    q: Annotated[
        str,
        typer.Argument(
            help="A number, a reference, a ticket's code, an appointment's id, an e-mail address, a phone number, a "
            "payment's reference, an address of ours, or the beginnings of words of a name.",
            **TEXT | {"metavar": "Q"},
        ),
    ],
    after: Annotated[str | None, typer.Option(help="The `next` of the previous page.", **TEXT)] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many orders to print at most.")] = 50,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Find orders by what a customer knows. Exact hits come first. Several words must all fit."""
    from countermand.actions.ordering.search_ports import OrderFilters
    from countermand.contracts.manage.find import found, found_shown, place_given

    place = place_given(after)

    async def find(database: "Database") -> "search_messages.OrdersFound":
        return found_shown(await found(database.store, q, OrderFilters(), place, limit))

    page = with_database(read_settings(settings), find)
    if as_json:
        say_json(page)
        return
    table = Table("id", "reference", "state", "placed", "name", "appointment", "first payment")
    for one in page.orders:
        times = (one.placed_at, one.appointment_starts_at, one.first_payment_at)
        placed, appointment, paid = map(_said, times)
        table.add_row(one.id, one.reference, one.state, placed, one.name or "", appointment, paid)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)
    if page.next is not None:
        typer.echo(f"There may be more: add --after {page.next}")


def show_command(
    order_id: OrderIdGiven,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Show an order with everything that happened to it."""
    from countermand.actions.cancelling.decide_again import policies_of
    from countermand.actions.cancelling.explain import PolicyArchive
    from countermand.actions.ordering.read_orders import read_history
    from countermand.contracts.manage.translate import order_shown

    async def show(database: "Database", named: "Order") -> "messages.Order":
        view, history = await read_history(database.store, named.id)
        policies = await policies_of(PolicyArchive(store=database.store), history.decisions)
        return order_shown(view, history, policies, None)

    shown = _with_order(settings, order_id, show)
    if as_json:
        say_json(shown)
        return
    typer.echo(f"{shown.id}: {shown.state}, number {shown.reference}, of client {shown.client_id}")
    typer.echo(f"placed {_said(shown.created_at)}")
    for visit in shown.appointments:
        typer.echo(f"appointment {visit.id} {visit.state}: {_said(visit.starts_at)} to {_said(visit.ends_at)}")
    for payment in shown.payments:
        late = ", late money" if payment.late else ""
        late += "" if payment.voided_at is None else f", voided {_said(payment.voided_at)}"
        money = f"{written_minor(payment.amount_minor)} {payment.currency}"
        typer.echo(f"payment {payment.reference}: {money}, {_said(payment.recorded_at)}{late}")
    say_money_gone(shown)
    for refusal in shown.refusals:
        typer.echo(f"cancellation refused {_said(refusal.decided_at)}, asked by client {refusal.client_id}")
    if shown.cancellation is not None:
        cancelled = shown.cancellation
        reason = "" if cancelled.reason is None else f": {cancelled.reason}"
        typer.echo(
            f"cancelled {_said(cancelled.decided_at)} by client {cancelled.client_id} ({cancelled.door}){reason}"
        )
    for event in shown.facts:
        typer.echo(f"{_said(event.recorded_at)} {event.kind}")


def say_money_gone(shown: "messages.Order") -> None:
    """Print the refunds and chargebacks of an order, and what is kept."""
    for one in shown.corrections:
        if one.kind != "void":
            state = "" if one.state is None else f" {one.state}"
            money = f"{written_minor(one.amount_minor)} {one.currency}"
            typer.echo(f"{one.kind}{state} {one.reference or one.id}: {money}, {one.reason}")
    for balance in shown.money:
        parts = {
            "kept": balance.kept_minor,
            "due": balance.due_minor,
            "refunded": balance.refunded_minor,
            "charged back": balance.charged_back_minor,
            "late": balance.late_minor,
            "voided": balance.voided_minor,
        }
        said = ", ".join(f"{name} {written_minor(minor)}" for name, minor in parts.items() if minor)
        typer.echo(f"money: {written_minor(balance.recorded_minor)} {balance.currency} recorded; {said or 'nothing'}")


def why_command(
    order_id: OrderIdGiven,
    at: Annotated[
        str | None,
        typer.Option(help="Decide for this instant, like 2026-11-23T01:00:00Z.  [default: now]", **TEXT),
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Say whether an order may be cancelled, why, and until when. Changes nothing."""
    from countermand.actions.cancelling.explain import PolicyArchive, explain
    from countermand.actions.cancelling.explain_past import explain_past
    from countermand.bootstrap.clock import utc_now
    from countermand.contracts.manage.calls import instant_in
    from countermand.contracts.manage.translate import decision_shown

    instant = None if at is None else instant_in("--at", at)

    async def why(database: "Database", named: "Order") -> "messages.Decision":
        store, policies, now = database.store, database.policies, utc_now()
        if instant is not None and instant < now:
            archive = PolicyArchive(store=store)
            return decision_shown(await explain_past(store, archive, policies, named.id, at=instant, now=now))
        return decision_shown(await explain(store, policies, lambda: now, named.id, owner=None, at=instant))

    decision = _with_order(settings, order_id, why)
    if as_json:
        say_json(decision)
        return
    may = "may be cancelled" if decision.cancellable else "may not be cancelled"
    until = "" if decision.cancellable_until is None else f" until {_said(decision.cancellable_until)}"
    typer.echo(f"{decision.order_id} {may}{until} (at {_said(decision.at)})")
    for finding in decision.findings:
        typer.echo(f"{'passed' if finding.passed else 'refused'}: {finding.message}")


def _with_order(settings: "Path | None", given: str, do: "Callable[[Database, Order], Awaitable[Given]]") -> Given:
    """Run `do` with the database and the order that an id names."""
    from countermand.contracts.manage.order_ids import order_named

    async def with_order(database: "Database") -> Given:
        async with database.store.snapshot() as reading:
            named = await order_named(reading, given)
        return await do(database, named)

    return with_database(read_settings(settings), with_order)


def _said(instant: "datetime | None") -> str:
    return "" if instant is None else instant.strftime("%Y-%m-%d %H:%M:%SZ")


def say_json(message: object) -> None:
    """Print a message as JSON, indented for people."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(message), indent=2).decode())
