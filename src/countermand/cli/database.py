"""How does a command come to its settings and the database?"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from countermand.bootstrap.database import Database, open_database
from countermand.settings import Settings

Given = TypeVar("Given")

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", envvar="COUNTERMAND_SETTINGS", help="A TOML file; COUNTERMAND_… variables win over it."),
]


def with_database(settings: Settings, do: Callable[[Database], Awaitable[Given]]) -> Given:
    """Do something with the configured database, on an event loop of its own."""

    async def run() -> Given:
        database = await open_database(settings)
        try:
            return await do(database)
        finally:
            await database.close()

    return asyncio.run(run())
