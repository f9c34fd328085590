"""Connects to PostgreSQL, with one set of options for every connection and a limit on every wait."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from countermand.storage.postgres.address_words import driver_options

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
PooledConnection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

APPLICATION: Final = "countermand"
# The options that the statements rely on. A server, a database or a role may have other defaults for them. The
# `search_path` and the limits are set in addition. The operator decides about `synchronous_commit` and
# `default_transaction_read_only`, so these are not set.
_RELIED_ON: Final = {
    "default_transaction_isolation": "read committed",  # a transaction that waited for a row sees its newest version
    "default_transaction_deferrable": "off",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "exit_on_error": "off",  # an error such as a key in use must not end the connection
    "jit": "off",  # the statements are small; compiling one costs more than running it
}
_CLIENT_MARGIN_S: Final = 2.0  # the server's limit comes first, with a reason; the client's is for a silent server
_NEXT_HOST_AFTER_S: Final = 0.2  # a host that has vanished must not use up the time of the other hosts


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database. `url` may name several hosts: connections go to the host that takes writes.

    Limits in seconds: `connect_limit_s` for reaching the server, `busy_limit_s` for a free connection or for a row that
    another transaction holds, `statement_limit_s` for a statement to end.
    """

    url: str = field(repr=False)  # it contains the password
    schema: str | None = None  # the PostgreSQL schema with the tables, once it is known
    connect_limit_s: float = 3.0
    busy_limit_s: float = 5.0
    statement_limit_s: float = 10.0

    def connect_options(self, **settings: str) -> dict[str, Any]:
        """Return the arguments of `connect`. `settings` are PostgreSQL's own; they last as long as the connection."""
        limits = {
            "statement_timeout": _ms(self.statement_limit_s),
            "lock_timeout": _ms(self.busy_limit_s),
            # A node that vanished in the middle of a transaction must not hold its rows for ever.
            "idle_in_transaction_session_timeout": _ms(self.statement_limit_s),
        }
        return self._reach_options() | {"pinned": _set(_RELIED_ON | limits | settings, self.schema)}

    async def connect(self) -> _Connection:
        """Return a connection that belongs to no pool."""
        return await connect(**self.connect_options())

    async def reach(self) -> _Connection:
        """Return a connection without our options, to see the defaults of the server, the database and the role."""
        return await connect(**self._reach_options())

    def _reach_options(self) -> dict[str, Any]:
        return driver_options(self.url, application=APPLICATION) | {
            "timeout": self.connect_limit_s,
            "command_timeout": self.statement_limit_s + _CLIENT_MARGIN_S,
            "target_session_attrs": "read-write",
            "max_cached_statement_lifetime": 0,
            "max_cacheable_statement_size": 64 * 1024,
        }

    def __str__(self) -> str:
        """Return the address for people, without the password, even if the URL is written in an unusual way."""
        scheme, _, rest = self.url.partition("://")
        where, _, options = rest.partition("?")
        return f"{scheme}://{'…' if '@' in options else where.rpartition('@')[2]}"


async def connect(dsn: str, *, pinned: str = "", **options: Any) -> _Connection:
    """Connect to the first host that answers and takes writes; asyncpg alone would wait for each host in turn.

    The `pinned` options are set by a statement, because poolers refuse or ignore start-up parameters. If no host can be
    used, raises the error of one of the hosts; an answer of PostgreSQL wins over a failed connection.
    """
    attempts = [
        asyncio.ensure_future(_attempt(number * _NEXT_HOST_AFTER_S, url, pinned, options))
        for number, url in enumerate(_of_each_host(dsn))
    ]
    waiting, chosen = set(attempts), None
    try:
        while waiting and chosen is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            chosen = next((attempt for attempt in done if attempt.exception() is None), None)
    finally:
        for attempt in attempts:
            if attempt is not chosen:
                attempt.cancel()
                attempt.add_done_callback(_not_needed)
    if chosen is not None:
        return chosen.result()
    refusals = [error for attempt in attempts if (error := attempt.exception()) is not None]
    raise min(refusals, key=lambda error: not isinstance(error, asyncpg.PostgresError))


async def _attempt(after_s: float, url: str, pinned: str, options: Mapping[str, Any]) -> _Connection:
    await asyncio.sleep(after_s)
    connection: _Connection = await asyncpg.connect(url, **options)
    try:
        if pinned:
            await connection.execute(pinned, timeout=options["timeout"])
    except BaseException:
        connection.terminate()
        raise
    return connection


def _not_needed(attempt: "asyncio.Task[_Connection]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


def _of_each_host(url: str) -> Sequence[str]:
    """Return the same address once for each of its hosts. Hosts named by `?host=` are left to the driver."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [parts._replace(netloc=f"{account}{at}{host}").geturl() for host in hosts.split(",")]


def _set(settings: Mapping[str, str], schema: str | None) -> str:
    """Return one text with all settings, so that one round trip sets them. Only the schema's name needs escaping."""
    pinned = [f"SET {name} = '{value}'" for name, value in settings.items()]
    if schema is not None:
        pinned.append('SET search_path = "{}"'.format(schema.replace('"', '""')))
    return "; ".join(pinned)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
