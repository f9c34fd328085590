"""Runs a driver's statement to its end even if the caller is cancelled, and translates the driver's errors."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from countermand.actions.errors import CountermandError, UnavailableError, UnforeseenDatabaseError

Result = TypeVar("Result")

# Translates a driver's error into this project's error; None for an error that no driver raised.
OurError = Callable[[BaseException], CountermandError | UnforeseenDatabaseError | None]


async def shielded(statement: Coroutine[Any, Any, Result]) -> Result:
    """Run a statement to its end, even if its caller is cancelled.

    A cancelled statement would go on in the driver's thread, and its transaction would hold the write lock.
    """
    running = asyncio.ensure_future(statement)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


@contextmanager
def as_unforeseen(driver_errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise a driver's error as `UnforeseenDatabaseError`.

    This is for steps beside a transaction, such as returning its connection: an error there says nothing about what the
    transaction did, so no answer may say that nothing was done.
    """
    try:
        yield
    except driver_errors as error:
        raise UnforeseenDatabaseError(str(error) or type(error).__name__) from error


@contextmanager
def translated_driver(our_error: OurError) -> Iterator[None]:
    """Translate the driver's errors with `our_error`, and raise the result."""
    try:
        yield
    except (CountermandError, UnforeseenDatabaseError):
        raise
    except PoolTimeoutError as error:
        raise UnavailableError("every connection to the database is taken") from error
    except Exception as error:
        ours = our_error(error)
        if ours is None:
            raise
        raise ours from error
