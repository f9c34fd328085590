"""Lets a test act before each statement of a transaction: those of the SQL toolkit, and those of the driver."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from countermand.storage.statement_runner import StatementRunner


@contextmanager
def before_each_statement(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` before each statement. What it raises, the statement raises instead of running."""
    through_toolkit, over_driver = StatementRunner._execute, StatementRunner._at_once

    async def execute(runner: StatementRunner, *given: Any) -> Any:
        act()
        return await through_toolkit(runner, *given)

    async def at_once(runner: StatementRunner, statement: Coroutine[object, object, Any]) -> Any:
        try:
            act()
        except BaseException:
            statement.close()
            raise
        return await over_driver(runner, statement)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StatementRunner, "_execute", execute)
        patched.setattr(StatementRunner, "_at_once", at_once)
        yield
