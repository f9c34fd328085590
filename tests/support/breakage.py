"""The real cancellation store, where the world breaks at the calls a test names, and nowhere else."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from countermand.actions.cancel_orders import CancelOrders
from support.world import World

Real = Callable[..., Awaitable[Any]]
Breaks = Callable[..., Awaitable[Any]]


class Breaking:
    """Fulfils `CancellationStore` with the real one. A break gets the real call first, then what it was called with."""

    def __init__(self, real: Any, **breaks: Breaks) -> None:
        self._real = real
        self._breaks = breaks
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Real:
        real = getattr(self._real, name)

        async def call(*asked: Any) -> Any:
            self.calls[name] += 1
            return await (self._breaks[name](real, *asked) if name in self._breaks else real(*asked))

        return call


def breaking(world: World, **breaks: Breaks) -> tuple[CancelOrders, Breaking]:
    """The action on a store that breaks, and that store."""
    run = world.service.commit.run
    assert isinstance(run, CancelOrders)
    store = Breaking(run.store, **breaks)
    return replace(run, store=store, settle_limit_s=0.2), store


def instead(error: Exception, *, times: int | None = None) -> Breaks:
    """Raise, without having done anything: so many times, or always."""
    left = [times]

    async def broken(real: Real, *asked: Any) -> Any:
        if left[0] == 0:
            return await real(*asked)
        if left[0] is not None:
            left[0] -= 1
        raise error

    return broken


def afterwards(error: Exception) -> Breaks:
    """Do it, and then raise as if nobody knew."""

    async def broken(real: Real, *asked: Any) -> Any:
        await real(*asked)
        raise error

    return broken
