"""Addresses as providers print them, and as people paste them: what is taken, what is refused, and in which words."""

import asyncio
import getpass
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from countermand.actions.errors import SchemaError
from countermand.settings import read_settings
from countermand.storage import schema
from countermand.storage.postgres.address_words import AddressError, driver_options
from countermand.storage.postgres.connections import APPLICATION, PostgresAddress
from countermand.storage.schema import NEWEST_SCHEMA, check_schema, migrate
from support.postgres import a_database

LIBPQ = (
    "connect_timeout=10&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=0"
    "&gssencmode=prefer&channel_binding=prefer&target_session_attrs=read-write&sslmode=prefer&client_encoding=UTF8"
    "&load_balance_hosts=random&sslsni=1&pgbouncer=true&application_name=orders&options=-c%20work_mem%3D8MB"
)
HOST = "postgresql://me:pw@db.example/shop"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgres+asyncpg"])
async def test_an_address_of_a_provider_with_all_of_libpqs_words_is_connected_to(scheme: str):
    with a_database() as url:
        address = PostgresAddress(url=f"{scheme}://{url.partition('://')[2]}?{LIBPQ}")
        assert read_settings(database_url=address.url).database_url is not None
        assert await asyncio.to_thread(migrate, address) == (NEWEST_SCHEMA, NEWEST_SCHEMA)
        connection = await address.connect()
        try:
            names = ("application_name", "work_mem", "default_transaction_isolation")
            found = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]
        finally:
            await connection.close()
    assert found == ["orders", "8MB", "read committed"]


def test_without_a_name_of_its_own_a_connection_has_ours():
    assert driver_options(HOST, application=APPLICATION) == {
        "dsn": HOST,
        "server_settings": {"application_name": APPLICATION},
    }


def test_channel_binding_that_is_required_checks_the_certificate_and_the_name_instead():
    options = driver_options(f"{HOST}?sslmode=require&channel_binding=require", application="a")
    assert (options["ssl"].verify_mode, options["ssl"].check_hostname) == (ssl.CERT_REQUIRED, True)
    assert options["dsn"] == HOST


def test_the_systems_authorities_can_be_named_as_in_libpq():
    options = driver_options(f"{HOST}?sslrootcert=system", application="a")
    assert (options["ssl"].verify_mode, options["ssl"].check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_of_the_address_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.crt").touch()
    options = driver_options(f"{HOST}?sslmode=verify-full&sslrootcert=~/ca.crt", application="a")
    assert urlsplit(options["dsn"]).query.endswith("ca.crt")
    assert "~" not in options["dsn"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("gssencmode=require", "its gssencmode cannot be kept"),
        ("channel_binding=sometimes", "channel_binding is disable, prefer or require"),
        ("channel_binding=require&sslmode=disable", "its channel_binding=require needs sslmode=require"),
        ("target_session_attrs=read-only", "Countermand writes"),
        ("target_session_attrs=standby", "Countermand writes"),
        ("sslmode=no-verify", "its sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslmode=require&sslrootcert=system", "its sslrootcert=system needs sslmode=verify-full"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "its sslrootcert names no file"),
        ("ssl=true", "say sslmode=require"),
        ("currentSchema=orders", "say search_path"),
        ("work_mem=8MB", "options=-c%20NAME%3DVALUE"),
        ("sslmode", "words like sslmode=require"),
    ],
)
async def test_a_word_that_cannot_be_kept_is_refused_by_its_name_and_says_what_to_write(query: str, said: str):
    with pytest.raises(SchemaError) as raised:
        await check_schema(PostgresAddress(url=f"{HOST}?{query}"))
    assert said in str(raised.value)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("password", ["p@ss", "p/ss", "p#ss", "p?ss", "p%ss", "p[ss", "p]ss", "p@s/s?s#"])
async def test_a_password_that_is_not_escaped_is_not_guessed_but_told_how_to_escape(password: str):
    with pytest.raises(SchemaError) as raised:
        await check_schema(PostgresAddress(url=f"postgresql://me:{password}@db.example/shop"))
    assert "percent-encode it in the user and the password: @ is %40" in str(raised.value)
    assert password not in str(raised.value)


def test_a_password_that_is_escaped_is_taken():
    assert driver_options("postgresql://me:p%40s%2Fs@db.example/shop", application="a")["dsn"].count("p%40s%2Fs") == 1


async def test_a_user_id_without_a_name_is_a_sentence_that_asks_for_a_user(monkeypatch: pytest.MonkeyPatch):
    """As in a container that runs under a number of its own."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1000660000")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("PGUSER", raising=False)
    with pytest.raises(SchemaError, match=r"it names no user, and the user id \d+ has no name; postgresql://USER@"):
        await check_schema(PostgresAddress(url="postgresql://db.example/shop"))
    driver_options("postgresql://db.example/shop?user=me", application="a")
    monkeypatch.setenv("PGUSER", "me")
    driver_options("postgresql://db.example/shop", application="a")


async def test_a_pooler_that_hands_connections_on_after_each_transaction_is_refused_by_that(
    monkeypatch: pytest.MonkeyPatch,
):
    """What was prepared is gone with the connection to the server."""
    unpooled = schema._schema_seen_by

    async def pooled(connection: "asyncpg.Connection[asyncpg.Record]", address: PostgresAddress):
        await connection.fetchval("SHOW server_encoding")
        await connection.execute("DEALLOCATE ALL")
        return await unpooled(connection, address)

    monkeypatch.setattr(schema, "_schema_seen_by", pooled)
    with a_database() as url:
        address = PostgresAddress(url=url)
        said = r"pool_mode=transaction.*not supported; use its session mode"
        with pytest.raises(SchemaError, match=said):
            await check_schema(address)
        with pytest.raises(SchemaError, match=said):
            await asyncio.to_thread(migrate, address)


@pytest.mark.parametrize("url", ["postgresql://me@db.example:port/shop", "postgresql://me@db.example:99999/shop"])
def test_a_port_that_is_none_is_said_to_be_none(url: str):
    with pytest.raises(AddressError, match="a port in it is no number from 1 to 65535"):
        driver_options(url, application="a")
