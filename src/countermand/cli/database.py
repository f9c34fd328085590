"""How does a command come to its settings and the database?"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from countermand.cli.option_types import PATH

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database
    from countermand.settings import Settings

Given = TypeVar("Given")

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", envvar="COUNTERMAND_SETTINGS", help="A TOML file; COUNTERMAND_… variables win over it.", **PATH
    ),
]


def read_settings(file: Path | None, **given: Any) -> "Settings":
    """Read the settings, as `countermand.settings.read_settings` does."""
    from countermand import settings

    return settings.read_settings(file, **given)


def with_database(settings: "Settings", do: "Callable[[Database], Awaitable[Given]]") -> Given:
    """Do something with the configured database, on an event loop of its own."""
    import asyncio

    from countermand.bootstrap.database import open_database

    async def run() -> Given:
        database = await open_database(settings)
        try:
            return await do(database)
        finally:
            await database.close()

    return asyncio.run(run())
