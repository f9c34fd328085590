"""How is a statement handed to the driver? To its end, whatever becomes of its caller, and with our errors."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from countermand.actions.errors import CountermandError, UnavailableError, UnforeseenDatabaseError

Result = TypeVar("Result")

# What an error of the driver means for us; None for an error that no driver raised.
OurError = Callable[[BaseException], CountermandError | UnforeseenDatabaseError | None]


async def shielded(statement: Coroutine[Any, Any, Result]) -> Result:
    """Let a statement end, even when its caller is cancelled.

    Cut off in the middle, the driver's thread would go on by itself, and its transaction would hold the write lock.
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

    For what stands beside a transaction, such as giving its connection back: an error there says nothing about what the
    transaction did, so nobody may tell the caller that nothing was done.
    """
    try:
        yield
    except driver_errors as error:
        raise UnforeseenDatabaseError(str(error) or type(error).__name__) from error


@contextmanager
def translated_driver(our_error: OurError) -> Iterator[None]:
    """Raise the driver's errors as ours."""
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
