"""The options that filter a list, as the parameters of the API's own list: both read and check them in one place."""

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from countermand.cli.option_types import TEXT

if TYPE_CHECKING:
    from countermand.contracts.http.query import Query

ContractFilter = Annotated[str | None, typer.Option(help="Only orders of this contract, like connect.", **TEXT)]
ClientFilter = Annotated[str | None, typer.Option(help="Only those of the client with this id.", **TEXT)]

Question = Annotated[
    str | None,
    typer.Argument(
        help="A number, a reference, a ticket's code, an appointment's id, an e-mail address, a phone number, a "
        "payment's reference, an address of ours, or the beginnings of words of a name.  "
        "[default: all orders, newest first]",
        **TEXT | {"metavar": "Q"},
    ),
]
StateFilter = Annotated[
    list[str] | None, typer.Option(help="Only orders in this state; repeat the option for several.", **TEXT)
]
EventFilter = Annotated[str | None, typer.Option(help="Only orders for the event with this uid.", **TEXT)]
ProductFilter = Annotated[str | None, typer.Option(help="Only orders of the product with this uid.", **TEXT)]
PlacedFrom = Annotated[
    str | None, typer.Option(help="Only orders placed at or after this instant, like 2026-11-23T01:00:00Z.", **TEXT)
]
PlacedUntil = Annotated[str | None, typer.Option(help="Only orders placed before this instant.", **TEXT)]
AppointmentFilter = Annotated[
    bool | None,
    typer.Option("--appointment/--no-appointment", help="Only orders with an active appointment, or without."),
]
AppointmentFrom = Annotated[
    str | None,
    typer.Option(help="Only orders with an active appointment that starts at or after this instant.", **TEXT),
]
AppointmentUntil = Annotated[
    str | None, typer.Option(help="Only orders with an active appointment that starts before this instant.", **TEXT)
]
PaidFilter = Annotated[
    bool | None, typer.Option("--paid/--no-paid", help="Only orders with a recorded payment, or without.")
]
CancelledBy = Annotated[
    str | None,
    typer.Option(help="Only orders that this client (a number; 0: the command line) or person cancelled.", **TEXT),
]
RefusedCode = Annotated[
    str | None, typer.Option(help="Only orders of which a cancellation was refused with this code.", **TEXT)
]


def query_of(**parameters: str | int | list[str] | None) -> "Query":
    """Return the parameters as a request would have them. None leaves a parameter out; a list repeats it."""
    from countermand.contracts.http.query import Query

    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in parameters.items()
        if value is not None
    }
    return Query(urlencode(given, doseq=True).encode())
