"""Reads an address of PostgreSQL as providers print it. Words of libpq are translated, ignored, or refused by name.

The driver knows some of libpq's words. It sends every other word to the server as a setting, which the server refuses.
No message here repeats a value, because any value can contain a part of a password that is not escaped.
"""

import getpass
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

_SCHEME: Final = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9]+)?")  # users of SQLAlchemy write postgresql+asyncpg
_ESCAPE: Final = "percent-encode it in the user and the password: @ is %40, : %3A, / %2F, ? %3F, # %23, % %25, [ %5B"
_OF_THE_DRIVER: Final = frozenset(
    {"host", "port", "dbname", "database", "user", "password", "passfile", "service", "krbsrvname", "gsslib"}
    | {"sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"}
    | {"ssl_min_protocol_version", "ssl_max_protocol_version"}
)
_FILES: Final = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")
_OF_THE_SERVER: Final = frozenset({"application_name", "options", "search_path"})
# Words that are ignored: Countermand has a setting for it, or always works like that, or the driver has no choice.
_PASSED_OVER: Final = frozenset(
    {"connect_timeout", "tcp_user_timeout", "client_encoding", "fallback_application_name", "load_balance_hosts"}
    | {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"}
    | {"sslcompression", "sslsni", "gssdelegation", "pgbouncer"}
)
# Words of which some values are fulfilled in any case. Other values are refused, with a sentence that says what to do.
_COME_TRUE: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "gssencmode": (frozenset({"disable", "prefer"}), "the driver cannot encrypt by GSSAPI; use sslmode=verify-full"),
    "channel_binding": (
        frozenset({"disable", "prefer", "require"}),
        "channel_binding is disable, prefer or require",
    ),
    "target_session_attrs": (
        frozenset({"any", "read-write", "primary"}),
        "Countermand writes, and finds the host that takes writes by itself; leave it out",
    ),
}
_OTHER_WORDS: Final[Mapping[str, str]] = {
    "ssl": "that is a word of other drivers; say sslmode=require, or sslmode=verify-full",
    "schema": "that is a word of other programs; say search_path",
    "currentschema": "that is a word of other programs; say search_path",
    "requiressl": "say sslmode=require",
}
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class AddressError(ValueError):
    """Raised if an address cannot be used. The message has no part of a password, nor of a value that may be one."""


def driver_options(url: str, *, application: str) -> dict[str, Any]:
    """Return the arguments of the driver's `connect` for an address: `dsn`, `server_settings` and, if needed, `ssl`.

    Raises `AddressError`, which says what to do.
    """
    parts = _split(url)
    words = _words(parts.query)
    _check_wishes(words)
    _check_user(parts, words)
    settings = {"application_name": application} | {name: words[name] for name in _OF_THE_SERVER & words.keys()}
    options: dict[str, Any] = {"server_settings": settings}
    if words.get("channel_binding") == "require" or words.get("sslrootcert") == "system":
        options["ssl"] = _verified(words)
    query = {name: _file(name, value) for name, value in words.items() if name in _OF_THE_DRIVER}
    if "ssl" in options:
        query = {name: value for name, value in query.items() if name not in {"sslmode", "sslrootcert"}}
    written = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return options | {"dsn": parts._replace(scheme="postgresql", query=written).geturl()}


def _split(url: str) -> SplitResult:
    scheme, _, rest = url.partition("://")
    if not _SCHEME.fullmatch(scheme):
        raise AddressError("it must begin with postgresql://")
    try:
        parts = urlsplit(f"postgresql://{rest}")
    except ValueError:  # a bracket that does not belong to an IPv6 address
        raise AddressError(f"a character in it has a meaning of its own; {_ESCAPE}") from None
    account, _, hosts = parts.netloc.rpartition("@")
    misplaced = "@" in account or "@" in parts.path or parts.fragment or "#" in rest
    stray_percent = re.search(r"%(?![0-9A-Fa-f]{2})", parts.netloc)
    if misplaced or stray_percent or re.search(r"[\[\]]", account):
        raise AddressError(f"a character in it has a meaning of its own; {_ESCAPE}")
    for host in hosts.split(","):
        port = re.sub(r"^\[[^\]]*\]", "", host).partition(":")[2]
        if port and not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65_536):  # noqa: PLR2004
            raise AddressError(f"a port in it is no number from 1 to 65535, or a character has a meaning; {_ESCAPE}")
    return parts


def _words(query: str) -> dict[str, str]:
    """Return the words of the query and their values, as libpq reads them.

    `+` is not a space, and the last of several equal words counts.
    """
    words: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        name = unquote(name)
        if not equals or not re.fullmatch(r"\w{1,63}", name):
            raise AddressError(f"what follows its ? must be words like sslmode=require, with & between; {_ESCAPE}")
        if name in _OF_THE_DRIVER | _OF_THE_SERVER | _COME_TRUE.keys():
            words[name] = unquote(value)
        elif (advice := _OTHER_WORDS.get(name.lower())) is not None:
            raise AddressError(f"it has the word {name}: {advice}")
        elif name not in _PASSED_OVER:
            advice = "a setting of the server goes into options=-c%20NAME%3DVALUE"
            raise AddressError(f"it has a word that PostgreSQL's addresses do not have; {advice}; {_ESCAPE}")
    return words


def _check_wishes(words: Mapping[str, str]) -> None:
    for name, (come_true, advice) in _COME_TRUE.items():
        if name in words and words[name] not in come_true:
            raise AddressError(f"its {name} cannot be kept: {advice}")
    if words.get("sslmode", "prefer") not in _MODES:
        raise AddressError(f"its sslmode must be one of {', '.join(_MODES)}")


def _check_user(parts: SplitResult, words: Mapping[str, str]) -> None:
    """Raise `AddressError` if no user is named, and the process's user id has no name, as in some containers."""
    if parts.username or words.get("user") or os.environ.get("PGUSER"):
        return
    if "service" in words or "PGSERVICE" in os.environ:
        return
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        ours = os.getuid() if hasattr(os, "getuid") else "of this process"
        raise AddressError(f"it names no user, and the user id {ours} has no name; postgresql://USER@…") from None


def _verified(words: Mapping[str, str]) -> ssl.SSLContext:
    """Return a TLS context that checks the server's certificate and the host name in it.

    `channel_binding=require` asks for proof that no third party is in between. The driver has no other way to prove it.
    """
    if words.get("sslrootcert") == "system" and words.get("sslmode", "verify-full") != "verify-full":
        raise AddressError("its sslrootcert=system needs sslmode=verify-full")
    if words.get("sslmode") in {"disable", "allow", "prefer"}:
        raise AddressError("its channel_binding=require needs sslmode=require, verify-ca or verify-full")
    root = words.get("sslrootcert", "system")
    context = ssl.create_default_context(cafile=None if root == "system" else _file("sslrootcert", root))
    if (certificate := words.get("sslcert")) is not None:
        password = words.get("sslpassword", "")
        key = _file("sslkey", words["sslkey"]) if "sslkey" in words else None
        context.load_cert_chain(_file("sslcert", certificate), key, password=lambda: password)
    return context


def _file(name: str, value: str) -> str:
    """Return a word's value for the driver, with the `~` of a file's name expanded.

    Raises `AddressError` if the file does not exist or cannot be read.
    """
    if name not in _FILES or not value or (name == "sslrootcert" and value == "system"):
        return value
    try:
        path = Path(value).expanduser()
        if path.is_file():
            return str(path)
    except (OSError, RuntimeError, ValueError):
        pass
    raise AddressError(f"its {name} names no file that is there and may be read")
