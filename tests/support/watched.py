"""Records a world's cancellations and batches, through a metrics hook that the test can read."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from countermand.actions.cancelling.cancel_orders import CancelOrders
from countermand.storage.postgres.distributed import CancelApart
from support.world import World


@dataclass
class Watched:
    """Fulfils `MetricsHook`."""

    statements: list[str] = field(default_factory=list)
    retries: int = 0
    duplicates: int = 0
    refused: int = 0

    def batch(self, _: Sequence[Any]) -> AbstractContextManager[object]:
        return nullcontext()

    def statement(self, name: str) -> AbstractContextManager[object]:
        self.statements.append(name)
        return nullcontext()

    def retried(self) -> None:
        self.retries += 1

    def absorbed(self, duplicates: int) -> None:
        self.duplicates += duplicates

    def turned_away(self) -> None:
        self.refused += 1


def watched(world: World) -> Watched:
    """From now on, what the world's cancellations do is remembered."""
    watch = Watched()
    store = world.database.cancellations
    store._metrics = watch
    if isinstance(apart := getattr(store, "_cancel_batch", None), CancelApart):
        apart._metrics = watch
    run = world.service.commit.run
    assert isinstance(run, CancelOrders)
    world.service.commit.run = replace(run, metrics=watch)
    return watch
