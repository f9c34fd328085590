"""Runs the measurements: the servers that are compared take turns, round by round, and each run is checked."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from check import check, counts
from databases import OrdersDatabase, PostgresOrders
from driving import NOTHING, Asking, drive
from pgbench import next_turn, pgbench
from processes import cpu_s, rss_mb
from sample import BARE_ALONE, MIXED, Credentials, Turns
from servers import BATCHED, NO_OP, TWO_WORKERS, UNBATCHED, Kind, running

PGBENCH: Final = "pgbench"
_MOST_CLIENTS: Final = 32  # of pgbench; more clients make it slower
# The orders per second that a run may use while no run was seen; afterwards the last rate times the margin.
_GUESS: Final = 40_000
_LONE_GUESS: Final = 8_000
_MARGIN: Final = 1.4


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The results of one run. pgbench has `clients`; its `connections` are those that it is compared with."""

    database: str
    kind: str
    orders: str  # the sequence: mixed or bare
    connections: int
    workers: int
    round: int
    cancels_a_second: float
    p50_ms: float | None = None  # pgbench reports only the mean
    p99_ms: float | None = None
    mean_ms: float | None = None
    clients: int | None = None
    server_cpu_us: float | None = None  # for each cancel, user and system
    database_cpu_us: float | None = None
    rss_mb: float | None = None  # of the server, at the end
    answered_200: int  # for pgbench the transactions done; warm-up included
    found_cancelled: int  # in the database afterwards


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The servers that are compared with each other: on one database, with the same orders and connections."""

    database: OrdersDatabase
    orders: str
    connections: int
    kinds: tuple[Kind | str, ...]


@dataclass(kw_only=True)
class Measuring:
    """Runs measurements. It remembers each server's rate, to know how many orders the next run may use."""

    generator: str
    credentials: Credentials
    seconds: int
    warm_up: int
    _fastest: dict[tuple[str, str, str, int], float] = field(default_factory=dict)

    def run(self, cell: Cell, kind: Kind | str, number: int) -> Measured:
        """Make one run and check it."""
        turns = cell.database.sample.turns[cell.orders]
        key = (cell.database.dialect, cell.orders, kind if isinstance(kind, str) else kind.name, cell.connections)
        guess = _LONE_GUESS if cell.connections == 1 else _GUESS
        needed = int(self._fastest.get(key, guess) * _MARGIN * (self.seconds + self.warm_up))
        first = cell.database.take(turns, needed)
        cell.database.settle()
        if isinstance(kind, str):
            assert isinstance(cell.database, PostgresOrders)
            measured = self._pgbench(cell, cell.database, turns, first, number)
        else:
            measured = self._server(cell, kind, turns, first, number)
        self._fastest[key] = max(measured.cancels_a_second, self._fastest.get(key, 0.0))
        return measured

    def _server(self, cell: Cell, kind: Kind, turns: Turns, first: int, number: int) -> Measured:
        database, before = cell.database, counts(cell.database)
        asking = Asking(generator=self.generator, credentials=self.credentials, connections=cell.connections)
        with running(kind, self.credentials, database) as server:
            warm_up = NOTHING
            if self.warm_up:
                warm_up = drive(asking, turns, server.port, first=first, seconds=self.warm_up, statuses=True)
            server_before, database_before = cpu_s([server.pid]), cpu_s(database.pids())
            load = drive(asking, turns, server.port, first=max(first, warm_up.used), seconds=self.seconds)
            server_after, database_after = cpu_s([server.pid]), cpu_s(database.pids())
            memory_mb = rss_mb([server.pid])
        until = load.used if kind.cancels else first
        database.used(turns, until)
        answered = warm_up.cancelled + load.cancelled
        found = check(
            database,
            turns,
            before,
            answered=answered if kind.cancels else 0,
            # Each of the two loads cuts its requests off at its end, at most one per connection.
            under_way=2 * cell.connections if kind.cancels else 0,
            first=first,
            until=until,
        )
        return Measured(
            database=database.dialect,
            kind=kind.name,
            orders=cell.orders,
            connections=cell.connections,
            workers=kind.workers,
            round=number,
            cancels_a_second=load.cancels_a_second,
            p50_ms=load.p50_ms,
            p99_ms=load.p99_ms,
            server_cpu_us=_each_us(server_before, server_after, load.cancelled),
            database_cpu_us=_each_us(database_before, database_after, load.cancelled) if database.pids() else None,
            rss_mb=memory_mb,
            answered_200=answered,
            found_cancelled=found,
        )

    def _pgbench(self, cell: Cell, database: PostgresOrders, turns: Turns, first: int, number: int) -> Measured:
        before, clients = counts(database), min(cell.connections, _MOST_CLIENTS)
        warmed_up, second = 0, first
        if self.warm_up:
            warmed_up = pgbench(database, turns, first=first, clients=clients, seconds=self.warm_up).processed
            second = next_turn(database, turns)
        database_before = cpu_s(database.pids())
        load = pgbench(database, turns, first=second, clients=clients, seconds=self.seconds)
        database_after = cpu_s(database.pids())
        until = next_turn(database, turns)
        database.used(turns, until)
        done = warmed_up + load.processed
        found = check(database, turns, before, answered=done, under_way=0, first=first, until=until)
        return Measured(
            database=database.dialect,
            kind=PGBENCH,
            orders=cell.orders,
            connections=cell.connections,
            workers=0,
            round=number,
            cancels_a_second=load.cancels_a_second,
            mean_ms=load.average_ms,
            clients=clients,
            database_cpu_us=_each_us(database_before, database_after, load.processed),
            answered_200=done,
            found_cancelled=found,
        )


def plan(database: OrdersDatabase, connections: list[int]) -> list[Cell]:
    """Return the cells of a database that every round measures."""
    if not isinstance(database, PostgresOrders):
        kinds: tuple[Kind | str, ...] = (NO_OP, BATCHED, UNBATCHED)
        return [Cell(database=database, orders=MIXED, connections=number, kinds=kinds) for number in connections]
    kinds = (NO_OP, BATCHED, PGBENCH, UNBATCHED, TWO_WORKERS)
    cells = [Cell(database=database, orders=MIXED, connections=number, kinds=kinds) for number in connections]
    # This cell is last, because it begins and ends with a restore of the database.
    alone = Cell(database=database, orders=BARE_ALONE, connections=connections[0], kinds=(BATCHED, PGBENCH))
    return [*cells, alone]


def all_rounds(measuring: Measuring, cells: list[Cell], rounds: int) -> Iterator[Measured]:
    """Run every cell in every round, so that other load of the machine affects all cells."""
    for number in range(1, rounds + 1):
        for cell in cells:
            # Each round begins with another server, so that none always runs after the same other server.
            start = number % len(cell.kinds)
            for kind in (*cell.kinds[start:], *cell.kinds[:start]):
                yield measuring.run(cell, kind, number)


def _each_us(before: float | None, after: float | None, cancels: int) -> float | None:
    return None if before is None or after is None else (after - before) / max(cancels, 1) * 1e6
