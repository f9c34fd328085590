"""How is the database reached? One set of options for every connection, with a limit on every wait."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from countermand.storage.postgres.address_words import driver_options

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

APPLICATION: Final = "countermand"
# What we rely on, and a server, a database or a role may have other defaults for. `search_path` is pinned beside these,
# and limits are. Not pinned, as they are an operator's word: `synchronous_commit`, `default_transaction_read_only`.
_RELIED_ON: Final = {
    "default_transaction_isolation": "read committed",  # whoever waited for a row sees it as it is then
    "default_transaction_deferrable": "off",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "exit_on_error": "off",  # a key in use is an answer, and not the end of a connection
    "jit": "off",  # our statements are small; compiling one costs more than running it
}
_CLIENT_MARGIN_S: Final = 2.0  # the server says no first, with its reason; the client hangs up where it does not
_NEXT_HOST_AFTER_S: Final = 0.2  # a host that has vanished must not use up the time for the others


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database. `url` may name several hosts: the one that takes writes is found.

    Limits: `connect_limit_s` for reaching the server, `busy_limit_s` for a free connection or a row that another
    transaction holds, `statement_limit_s` for a statement to end.
    """

    url: str = field(repr=False)  # has the password
    schema: str | None = None  # where the tables are, once that is known
    connect_limit_s: float = 3.0
    busy_limit_s: float = 5.0
    statement_limit_s: float = 10.0

    def connect_options(self, **settings: str) -> dict[str, Any]:
        """What `connect` takes. `settings` are PostgreSQL's own, for the connection's whole life."""
        limits = {
            "statement_timeout": _ms(self.statement_limit_s),
            "lock_timeout": _ms(self.busy_limit_s),
            # A node that went away in the middle of a transaction must not hold its rows for ever.
            "idle_in_transaction_session_timeout": _ms(self.statement_limit_s),
        }
        return self._reach_options() | {"pinned": _set(_RELIED_ON | limits | settings, self.schema)}

    async def connect(self) -> _Connection:
        """One connection, not of a pool."""
        return await connect(**self.connect_options())

    async def reach(self) -> _Connection:
        """One connection on which nothing is set: to see what the server, the database and the role make of it."""
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
        """For people: without the password, also where it was not written as an address wants it."""
        scheme, _, rest = self.url.partition("://")
        where, _, options = rest.partition("?")
        return f"{scheme}://{'…' if '@' in options else where.rpartition('@')[2]}"


async def connect(dsn: str, *, pinned: str = "", **options: Any) -> _Connection:
    """Connect to the first of the hosts that answers and takes writes. The driver would wait for one after the other.

    What is `pinned` is set by a statement, not as start-up parameters: these a pooler refuses, or ignores. Raises what
    one of the hosts said, or did not say.
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
    """The same address for each of its hosts. Hosts named by `?host=` are left to the driver."""
    parts = urlsplit(url)
    account, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [parts._replace(netloc=f"{account}{at}{host}").geturl() for host in hosts.split(",")]


def _set(settings: Mapping[str, str], schema: str | None) -> str:
    """One statement's text, so one round trip. The values are ours; only a schema's name is somebody else's."""
    pinned = [f"SET {name} = '{value}'" for name, value in settings.items()]
    if schema is not None:
        pinned.append('SET search_path = "{}"'.format(schema.replace('"', '""')))
    return "; ".join(pinned)


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
