"""Lets a test that runs in an event loop make calls that start an event loop of their own."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any


def elsewhere(do: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a thread of its own; a coroutine function is run to its end there."""
    result: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            result.append(asyncio.run(do(*arguments)) if inspect.iscoroutinefunction(do) else do(*arguments))
        except BaseException as error:  # noqa: BLE001 - told below, where it was asked for
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return result[0]
