"""Measures whether a cancellation costs more in a large database: the same cancels among 10,000 orders and 10 M."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from check import check, counts
from databases import OrdersDatabase
from driving import Asking, drive
from sample import MIXED, Credentials
from servers import BATCHED, running

CANCELS: Final = 5_000
WARM_UP: Final = 2_500
SMALL: Final = 10_000
CONNECTIONS: Final = 64
_LONGEST_S: Final = 60
# The turns of a repetition: each of its two loads may hand out one more per connection, and wrk takes one unsent turn.
TURNS_EACH: Final = CANCELS + WARM_UP + 2 * (CONNECTIONS + 1)


@dataclass(frozen=True, kw_only=True)
class Flat:
    """The results of one repetition."""

    database: str
    repetition: int
    orders: int
    seconds: float
    p99_ms: float


def measure(
    generator: str,
    credentials: Credentials,
    databases: list[OrdersDatabase],
    repetitions: int,
    tell: Callable[[Flat], None],
) -> list[Flat]:
    """Run the repetitions; in each, the databases take turns. Each is checked before its restore, or at the end."""
    asking = Asking(generator=generator, credentials=credentials, connections=CONNECTIONS)
    flat = []
    before = {database: counts(database) for database in databases}
    answered: Counter[OrdersDatabase] = Counter()
    cut_off: Counter[OrdersDatabase] = Counter()
    for repetition in range(1, repetitions + 1):
        for database in databases:
            turns = database.sample.turns[MIXED]
            first = database.take(turns, TURNS_EACH)
            database.settle()
            with running(BATCHED, credentials, database) as server:
                warm_up = drive(asking, turns, server.port, first=first, seconds=_LONGEST_S, stop_after=WARM_UP)
                load = drive(asking, turns, server.port, first=warm_up.used, seconds=_LONGEST_S, stop_after=CANCELS)
            database.used(turns, load.used)
            answered[database] += warm_up.cancelled + load.cancelled
            cut_off[database] += 2 * CONNECTIONS
            if load.used + TURNS_EACH > turns.length or repetition == repetitions:
                check(
                    database,
                    turns,
                    before[database],
                    answered=answered.pop(database),
                    under_way=cut_off.pop(database),
                    first=0,
                    until=load.used,
                )
            flat.append(
                Flat(
                    database=database.dialect,
                    repetition=repetition,
                    orders=database.sample.orders,
                    seconds=load.duration_s,
                    p99_ms=load.p99_ms,
                )
            )
            tell(flat[-1])
    return flat
