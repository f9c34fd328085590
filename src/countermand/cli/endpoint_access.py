"""Names an endpoint on the command line, and gives a command the endpoints of the configured database."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from countermand.cli.database import read_settings, with_database
from countermand.domain.delivering.endpoint import EndpointId

if TYPE_CHECKING:
    from countermand.actions.delivering.endpoints import EndpointAdministration
    from countermand.bootstrap.database import Database

Given = TypeVar("Given")

EndpointArgument = Annotated[
    str,
    typer.Argument(help="The endpoint's id, from `countermand endpoint list`.", show_default=False),
]


def named_endpoint(given: str) -> EndpointId:
    """Return the id of an endpoint. Raises `NotFoundError` for a text that no endpoint has."""
    from countermand.contracts.manage.endpoint_requests import endpoint_id_of

    return endpoint_id_of(given)


def with_endpoints(file: Path | None, do: "Callable[[EndpointAdministration], Awaitable[Given]]") -> Given:
    """Run `do` with the endpoints of the configured database, and return its result."""
    from countermand.bootstrap import endpoints
    from countermand.serving import public_url_of

    read = read_settings(file)

    async def run(database: "Database") -> Given:
        async with endpoints.endpoints_of(read, database, public_url_of(read)) as administration:
            return await do(administration)

    return with_database(read, run)
