"""How is the database reached? One set of options for every connection, with a limit on every wait."""

from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

APPLICATION: Final = "countermand"
_CLIENT_MARGIN_S: Final = 2.0  # the server says no first, with its reason; the client hangs up where it does not


@dataclass(frozen=True, kw_only=True, slots=True)
class PostgresAddress:
    """A PostgreSQL database. `url` may name several hosts: the one that takes writes is found.

    Limits: `connect_limit_s` for reaching the server, `busy_limit_s` for a free connection or a row that another
    transaction holds, `statement_limit_s` for a statement to end.
    """

    url: str = field(repr=False)  # has the password
    connect_limit_s: float = 3.0
    busy_limit_s: float = 5.0
    statement_limit_s: float = 10.0

    def connect_options(self, **settings: str) -> dict[str, Any]:
        """What asyncpg connects with. `settings` are PostgreSQL's own, for the connection's whole life."""
        limits = {
            "application_name": APPLICATION,
            "statement_timeout": _ms(self.statement_limit_s),
            "lock_timeout": _ms(self.busy_limit_s),
            # A node that went away in the middle of a transaction must not hold its rows for ever.
            "idle_in_transaction_session_timeout": _ms(self.statement_limit_s),
            "timezone": "UTC",
            "jit": "off",  # our statements are small; compiling one costs more than running it
        }
        return {
            "dsn": self.url,
            "timeout": self.connect_limit_s,
            "command_timeout": self.statement_limit_s + _CLIENT_MARGIN_S,
            "target_session_attrs": "read-write",
            "max_cached_statement_lifetime": 0,
            "max_cacheable_statement_size": 64 * 1024,
            "server_settings": limits | settings,
        }

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """One connection, not of a pool."""
        return await asyncpg.connect(**self.connect_options())

    def __str__(self) -> str:
        """For people: without the password, also where it was not written as an address wants it."""
        scheme, _, rest = self.url.partition("://")
        where, _, options = rest.partition("?")
        return f"{scheme}://{'…' if '@' in options else where.rpartition('@')[2]}"


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
