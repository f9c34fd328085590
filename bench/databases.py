"""Makes a database of orders of each kind, once, and restores it before a run would meet orders that were used."""

import os
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from hashlib import md5
from pathlib import Path
from typing import Final

from countermand.domain.orders.order import order_id_of
from countermand.storage.postgres.connections import PostgresAddress
from countermand.storage.schema import migrate
from made_orders import Dialect, places_table, statements, turns_table
from own_postgres import OwnPostgres
from sample import Sample, Turns

# Durability stays at its default. Any operator of such a server would set these settings; the results list them.
POSTGRES_SETTINGS: Final[Mapping[str, str | int]] = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "max_connections": 200,
}
DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes")  # all on by default
_TURNS: Final = (
    "CREATE TABLE {0} (turn integer NOT NULL, order_id bigint NOT NULL, client_id integer NOT NULL,"
    " door varchar(16) NOT NULL, reason text, command_id varchar(32) NOT NULL)"
)
_PLACES: Final = "CREATE TABLE {0} (turn integer, n bigint)"


class OrdersDatabase(ABC):
    """A database full of orders. Each order is cancelled once: `take` gives the next turns and restores if needed."""

    dialect: Dialect

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self._used: dict[str, int] = {}

    def take(self, turns: Turns, needed: int) -> int:
        """Return the first unused turn. Restore the database first unless `needed` turns of this sequence are left.

        The sequences share orders, so a sequence begins only if the other has used no orders.
        """
        others = any(used for name, used in self._used.items() if name != turns.name)
        first = self._used.get(turns.name, 0)
        if others or (first and first + needed > turns.length):
            self.restore()
            self._used = {}
            first = 0
        return first

    def used_until(self, turns: Turns) -> int:
        """Return the first unused turn."""
        return self._used.get(turns.name, 0)

    def used(self, turns: Turns, until: int) -> None:
        """Remember that every turn before `until` may have been used."""
        self._used[turns.name] = max(until, self._used.get(turns.name, 0))

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Return the settings with which a server uses this database."""

    @abstractmethod
    def row(self, query: str) -> tuple[int, ...]:
        """Return the single row of a query, all of it integers."""

    @abstractmethod
    def restore(self) -> None:
        """Restore the original contents, on the disk."""

    @abstractmethod
    def settle(self) -> None:
        """Finish the remaining work of earlier runs, so that each run begins alike."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Return the database's processes; the list is empty if the database is a library within the server."""


class SqliteOrders(OrdersDatabase):
    """An SQLite file, and a copy of it that runs use."""

    dialect = "sqlite"

    def __init__(self, sample: Sample, folder: Path) -> None:
        super().__init__(sample)
        self._template, self.path = folder / "template.sqlite3", folder / "orders.sqlite3"
        folder.mkdir(parents=True, exist_ok=True)
        migrate(self._template)
        with closing(sqlite3.connect(self._template, isolation_level=None)) as connection:
            connection.create_function("order_id_of", 1, order_id_of, deterministic=True)
            connection.create_function("md5", 1, _md5, deterministic=True)
            connection.execute("PRAGMA journal_mode = OFF")  # there is nothing to lose yet; the server turns WAL on
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            for turns in sample.turns.values():
                connection.execute(_TURNS.format(turns_table(turns.name)))
                connection.execute(_PLACES.format(places_table(turns.name)))
                with turns.places.open() as places:
                    rows = (line.split() for line in places)
                    connection.executemany(f"INSERT INTO {places_table(turns.name)} VALUES (?, ?)", rows)
            for statement in statements("sqlite", sample.orders, sample.turns):
                connection.execute(statement)
            connection.execute("COMMIT")
        self.restore()

    def settings(self) -> Mapping[str, str]:
        """See `OrdersDatabase.settings`."""
        return {"COUNTERMAND_DATABASE_PATH": str(self.path)}

    def row(self, query: str) -> tuple[int, ...]:
        """See `OrdersDatabase.row`."""
        with closing(sqlite3.connect(self.path)) as connection:
            return tuple(connection.execute(query).fetchone())

    def change(self, statement: str) -> None:
        """Execute a statement."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(statement)

    def restore(self) -> None:
        """See `OrdersDatabase.restore`."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self._template, self.path)
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def settle(self) -> None:
        """Do nothing: the server checkpointed when it stopped."""

    def pids(self) -> list[int]:
        """See `OrdersDatabase.pids`."""
        return []


class PostgresOrders(OrdersDatabase):
    """A template database, and a copy of it that runs use, on a PostgreSQL server of the benchmark's own."""

    dialect = "postgresql"

    def __init__(self, sample: Sample, server: OwnPostgres, name: str = "orders", *, spare: bool = True) -> None:
        """With `spare`, keep a template to restore from; without it, the orders are enough for one use."""
        super().__init__(sample)
        self.server, self.name, self._spare = server, name, spare
        self._template = f"{name}_template" if spare else name
        server.create_database(self._template)
        migrate(PostgresAddress(url=server.url(self._template)))
        for turns in sample.turns.values():
            server.sql(_TURNS.format(turns_table(turns.name)), self._template)
            server.sql(_PLACES.format(places_table(turns.name)), self._template)
            server.sql(f"COPY {places_table(turns.name)} FROM STDIN", self._template, given=turns.places)
        server.sql(";\n".join(statements("postgresql", sample.orders, sample.turns)), self._template)
        for turns in sample.turns.values():
            # The index alone answers the look-up of a turn, so that it costs pgbench next to nothing.
            table = turns_table(turns.name)
            everything = "order_id, client_id, door, reason, command_id"
            server.sql(f"CREATE UNIQUE INDEX ON {table} (turn) INCLUDE ({everything})", self._template)
        # This is how autovacuum leaves a database after a while; it also leaves no work for the middle of a run.
        server.sql("VACUUM (FREEZE, ANALYZE)", self._template)
        self.restore()

    def settings(self) -> Mapping[str, str]:
        """See `OrdersDatabase.settings`."""
        return {"COUNTERMAND_DATABASE_URL": self.server.url(self.name)}

    def row(self, query: str) -> tuple[int, ...]:
        """See `OrdersDatabase.row`."""
        return tuple(map(int, self.server.sql(query, self.name).split("|")))

    def restore(self) -> None:
        """See `OrdersDatabase.restore`."""
        if self._spare:
            self.server.drop_database(self.name)
            self.server.create_database(self.name, template=self._template)

    def settle(self) -> None:
        """Run a checkpoint, so that each run begins with the full page images that follow a checkpoint."""
        self.server.sql("CHECKPOINT")

    def pids(self) -> list[int]:
        """See `OrdersDatabase.pids`."""
        return [] if self.server.pid is None else [self.server.pid]


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
