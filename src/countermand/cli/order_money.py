"""The commands that put an order's money right: record a payment, void or assign it, record what went or came back."""

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from countermand.bootstrap.clock import utc_now
from countermand.cli.database import CONTRACTS_IN_FORCE, SettingsFile, read_settings
from countermand.cli.errors import CommandError, named_as_options
from countermand.cli.option_types import TEXT, check_fields
from countermand.cli.order_change import AsPerson, Change, Make, Reason, carry_out
from countermand.cli.order_reads import OrderIdGiven
from countermand.cli.printing import AsJson
from countermand.domain.actor import Actor
from countermand.domain.client import Permission
from countermand.domain.money import Money

if TYPE_CHECKING:
    from datetime import datetime

    from countermand.contracts.http.store import Transaction
    from countermand.domain.orders.order import Order, OrderId

Amount = Annotated[str, typer.Argument(help="The amount, like 12.50.", **TEXT | {"metavar": "AMOUNT"})]
Currency = Annotated[str, typer.Argument(help="The currency, like EUR.", **TEXT | {"metavar": "CURRENCY"})]
PaymentReference = Annotated[
    str, typer.Argument(help="The payment provider's own name of the payment.", **TEXT | {"metavar": "REFERENCE"})
]
OtherOrder = Annotated[
    str, typer.Argument(help="The order that it was meant for, like connect-54.", **TEXT | {"metavar": "ORDER"})
]
RefundReference = Annotated[
    str, typer.Argument(help="The payment provider's own name of the refund.", **TEXT | {"metavar": "REFERENCE"})
]
GoneReference = Annotated[
    str,
    typer.Argument(help="The provider's own name of it. A repeat changes nothing.", **TEXT | {"metavar": "REFERENCE"}),
]
_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]+)?")  # `Decimal` reads more: 1_0, 1e1, digits of other scripts
_LONGEST_REFERENCE: Final = 255
_GoBack = Callable[["Transaction", Actor, "OrderId", str, Money, str, "datetime"], Awaitable["Order"]]


def pay_command(
    order_id: OrderIdGiven,
    reference: PaymentReference,
    amount: Amount,
    currency: Currency,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Record a payment. A repeat of its reference changes nothing. Money for an order that has ended is late money."""
    from countermand.actions.ordering.late_money import late_money_sentence
    from countermand.actions.ordering.record_progress import record_payment

    money = _money(amount, currency)
    _check_reference(reference)

    async def pay(tx: "Transaction", actor: Actor, number: "OrderId") -> str | None:
        recorded = await record_payment(tx, actor, number, reference, money, utc_now())
        return await late_money_sentence(tx, recorded) if recorded.payment.is_late else None

    permissions = (Permission.RECORD, Permission.MONEY)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=pay), as_json=as_json)


def void_command(
    order_id: OrderIdGiven,
    reference: PaymentReference,
    reason: Reason,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Record that a payment never happened. An order that it completed is pending again, with a new time to pay."""
    from countermand.actions.ordering.correct_payments import void_payment
    from countermand.bootstrap.api_modules import payment_windows

    windows = payment_windows(read_settings(settings), CONTRACTS_IN_FORCE.get())
    _check_reason(reason)

    async def void(tx: "Transaction", actor: Actor, number: "OrderId") -> None:
        await void_payment(tx, actor, number, reference, reason, utc_now(), windows=windows)

    permissions = (Permission.MONEY,)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=void), as_json=as_json)


def assign_command(
    order_id: OrderIdGiven,
    reference: PaymentReference,
    order: OtherOrder,
    reason: Reason,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Move late money to the order that it was meant for. A repeat changes nothing."""
    from countermand.actions.ordering.correct_payments import assign_late_money
    from countermand.bootstrap.api_modules import payment_windows
    from countermand.contracts.manage.order_ids import order_named

    windows = payment_windows(read_settings(settings), CONTRACTS_IN_FORCE.get())
    _check_reason(reason)
    _check_reference(reference)

    async def assign(tx: "Transaction", actor: Actor, number: "OrderId") -> None:
        other = await order_named(tx, order, field="order")
        await assign_late_money(tx, actor, number, reference, other.id, reason, utc_now(), windows=windows)

    permissions = (Permission.MONEY,)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=assign), as_json=as_json)


def refund_command(
    order_id: OrderIdGiven,
    reference: GoneReference,
    amount: Amount,
    currency: Currency,
    reason: Reason,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Record a refund that was made. It pays off what is due first."""
    from countermand.actions.ordering.correct_payments import refund

    make = _recording(refund, reference, amount, currency, reason)
    permissions = (Permission.MONEY,)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=make), as_json=as_json)


def refund_failed_command(
    order_id: OrderIdGiven,
    reference: RefundReference,
    reason: Reason,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Record that a refund that was made came back. Its money is owed again."""
    from countermand.actions.ordering.fail_refund import fail_refund

    _check_reason(reason)

    async def fail(tx: "Transaction", actor: Actor, number: "OrderId") -> None:
        await fail_refund(tx, actor, number, reference, reason, utc_now())

    permissions = (Permission.MONEY,)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=fail), as_json=as_json)


def chargeback_command(
    order_id: OrderIdGiven,
    reference: GoneReference,
    amount: Amount,
    currency: Currency,
    reason: Reason,
    staff: AsPerson,
    as_json: AsJson = False,  # noqa: FBT002 - an option has a default
    settings: SettingsFile = None,
) -> None:
    """Record that the payer's bank has taken money back."""
    from countermand.actions.ordering.correct_payments import charge_back

    make = _recording(charge_back, reference, amount, currency, reason)
    permissions = (Permission.MONEY,)
    carry_out(settings, Change(order_id=order_id, staff=staff, permissions=permissions, make=make), as_json=as_json)


def _recording(go_back: _GoBack, reference: str, amount: str, currency: str, reason: str) -> Make:
    """Return the change that records a refund or a chargeback. Raises for an argument or a reason that is wrong."""
    money = _money(amount, currency)
    _check_reason(reason)
    _check_reference(reference)

    async def record(tx: "Transaction", actor: Actor, order_id: "OrderId") -> None:
        await go_back(tx, actor, order_id, reference, money, reason, utc_now())

    return record


def _money(amount: str, currency: str) -> Money:
    if _AMOUNT.fullmatch(amount) is None:
        raise CommandError(f"nothing was recorded: AMOUNT must be digits like 25 or 12.50, not {amount!r}")
    try:
        return Money.of(Decimal(amount), currency)
    except ValueError as error:
        raise CommandError(f"nothing was recorded: {error}") from None


def _check_reason(reason: str) -> None:
    from countermand.contracts.manage.money_messages import VoidGiven

    check_fields(VoidGiven, reason=reason)


def _check_reference(reference: str) -> None:
    from countermand.contracts.manage.calls import check_reference

    if not 0 < len(reference) <= _LONGEST_REFERENCE:
        raise CommandError(f"REFERENCE must have 1 to {_LONGEST_REFERENCE} characters, not {len(reference)}")
    with named_as_options(str.upper):
        check_reference(reference)
