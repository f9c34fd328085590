"""Carries out a change of an order by a person at the command line, and prints the order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from countermand.actions.errors import OutcomeUnknownError, UnavailableError
from countermand.cli.database import read_settings, with_database
from countermand.cli.errors import CommandError, named_as_options
from countermand.cli.option_types import TEXT
from countermand.cli.order_reads import order_given, order_with_history, print_money_gone
from countermand.cli.printing import print_json, say
from countermand.cli.staff import check_permitted, person_id
from countermand.domain.actor import Actor
from countermand.domain.client import COMMAND_LINE, Permission
from countermand.domain.contract import MANAGE

if TYPE_CHECKING:
    from pathlib import Path

    from countermand.bootstrap.database import Database
    from countermand.contracts.http.store import Transaction
    from countermand.contracts.manage import messages
    from countermand.domain.orders.order import OrderId

Reason = Annotated[str, typer.Option(help="Why, for the record.", **TEXT)]
AsPerson = Annotated[str, typer.Option("--as", help="Your id, from `countermand staff list`.", **TEXT)]
Make = Callable[["Transaction", Actor, "OrderId"], Awaitable[str | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of an order. `make` returns a sentence if the caller must know of something; else None."""

    order_id: str
    staff: str
    permissions: tuple[Permission, ...]
    make: Make


def carry_out(settings: "Path | None", change: Change, *, as_json: bool) -> None:
    """Make a change in one transaction, and print the order. Raises `CommandError` for money that came too late."""
    staff_id, read = person_id(change.staff, "--as"), read_settings(settings)
    actor = Actor(COMMAND_LINE, MANAGE, staff_id)

    async def carry_out(database: "Database") -> "tuple[messages.Order, str | None]":
        await check_permitted(database, staff_id, *change.permissions)
        named = await order_given(database, change.order_id)
        async with database.store.transaction() as tx:
            said = await change.make(tx, actor, named.id)
        try:
            return await order_with_history(read, database, named.id), said
        except UnavailableError as error:  # the change is committed, so "nothing was done" would be wrong
            sentence = f"the change is recorded, but {change.order_id} could not be read; a repeat changes nothing"
            raise OutcomeUnknownError(sentence) from error

    with named_as_options(str.upper):
        shown, said = with_database(read, carry_out)
    if said is not None:
        raise CommandError(said, status=409, code="late_money")
    if as_json:
        print_json(shown)
        return
    say(f"{shown.id} is {shown.state}; the record names {staff_id}")
    print_money_gone(shown)
