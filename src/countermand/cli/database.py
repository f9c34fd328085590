"""Reads the settings and opens the database for a command."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from countermand.cli.option_types import PATH
from countermand.cli.printing import say
from countermand.contracts.http.contract import Contract
from countermand.contracts.registry import CONTRACTS

if TYPE_CHECKING:
    from countermand.bootstrap.database import Database
    from countermand.settings import Settings

Given = TypeVar("Given")

# The contracts that the command line was made for; its root command sets them.
CONTRACTS_IN_FORCE: Final[ContextVar[Sequence[Contract]]] = ContextVar("contracts in force", default=CONTRACTS)

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", envvar="COUNTERMAND_SETTINGS", help="A TOML file; COUNTERMAND_… variables win over it.", **PATH
    ),
]


def read_settings(file: Path | None, **given: object) -> "Settings":
    """Read the settings, as `countermand.settings.read_settings` does, and warn of variables that are no settings."""
    from countermand.settings import misspelled_variables

    for sentence in misspelled_variables():
        say(f"countermand: {sentence}", err=True)
    return server_settings(file, **given)


def server_settings(file: Path | None, **given: object) -> "Settings":
    """Read the settings of a server, which logs such a warning itself."""
    from countermand import settings

    return settings.read_settings(file, contracts=CONTRACTS_IN_FORCE.get(), **given)


def with_database(settings: "Settings", do: "Callable[[Database], Awaitable[Given]]") -> Given:
    """Run `do` with the configured database, on an event loop of its own, and return its result."""
    import asyncio

    from countermand.bootstrap.database import open_database

    _log_to_standard_error()

    async def run() -> Given:
        database = await open_database(settings, contracts=CONTRACTS_IN_FORCE.get())
        try:
            return await do(database)
        finally:
            await database.close()

    return asyncio.run(run())


def _log_to_standard_error() -> None:
    """Log errors where a command's own errors go: standard output is for the answer, which a program may read.

    Warnings are left out, because the sentence that a command ends with says what they would say.
    """
    import logging

    import structlog

    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        processors=[structlog.processors.add_log_level, renderer],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
