"""The options that filter a list, as the parameters of the API's own list: both read and check them in one place."""

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from countermand.cli.option_types import TEXT

if TYPE_CHECKING:
    from countermand.contracts.http.query import Query

ContractFilter = Annotated[str | None, typer.Option(help="Only orders of this contract, like connect.", **TEXT)]
ClientFilter = Annotated[str | None, typer.Option(help="Only those of the client with this id.", **TEXT)]


def query_of(**parameters: str | int | list[str] | None) -> "Query":
    """Return the parameters as a request would have them. None leaves a parameter out; a list repeats it."""
    from countermand.contracts.http.query import Query

    given = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in parameters.items()
        if value is not None
    }
    return Query(urlencode(given, doseq=True).encode())
