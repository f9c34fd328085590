"""How a call of any contract is run: what is checked first, what is stored under a key, and what is not."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from countermand.actions.cancelling.command_ids import CommandIds
from countermand.actions.cancelling.explain import PolicyArchive
from countermand.actions.errors import ConflictError, FieldsError, NotAuthenticatedError
from countermand.contracts.http import execute as module
from countermand.contracts.http.answer import (
    Answer,
    ForbiddenError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
    json_answer,
    restored,
    stored,
)
from countermand.contracts.http.calls import CallRules, Request, ServiceCall, Services, TransactionCall, body_of
from countermand.contracts.http.cancel_endpoint import bearer
from countermand.contracts.http.execute import execute
from countermand.contracts.http.openapi import Operation
from countermand.domain.client import Permission
from countermand.domain.contract import MANAGE
from support.shared_world import shared_world
from support.world import Caller, World

world = shared_world

# As nodes of earlier versions store an answer, and read it: the form must not change.
STORED = (
    b'{"status":201,"headers":[["location","http://shop.test/orders/\xc3\xa9"],["content-type","application/json"]],'
    b'"body":"{\\"name\\":\\"\xc3\xa9\\"}"}'
)
ANSWER = Answer(
    201,
    ((b"location", b"http://shop.test/orders/\xe9"), (b"content-type", b"application/json")),
    '{"name":"é"}'.encode(),
)


class Given(msgspec.Struct):
    """The body of the call below."""

    name: str


class Shop:
    """A call that changes something, and what was seen of it."""

    def __init__(self, world: World, *, refuses: ConflictError | None = None, **rules: Any) -> None:
        self.world, self.refuses, self.names = world, refuses, []
        operation = Operation(
            name="rename",
            method="POST",
            path="/names",
            summary="",
            description="",
            permission=Permission.RECORD,
            replies={},
            takes_key=True,
        )
        self.change = TransactionCall(operation=operation, body=body_of(Given), handle=self._rename)
        self.read = ServiceCall(operation=operation, body=body_of(Given), handle=self._told)
        self.rules = CallRules(
            channel=MANAGE,
            credential=bearer,
            error_answer=lambda error: json_answer(409 if str(error) == "full" else 400, str(error)),
            kept_refusals=frozenset({409}),
            **rules,
        )

    async def _rename(self, _, context) -> Answer:
        self.names.append(context.body.name)
        if self.refuses is not None:
            raise self.refuses
        return json_answer(201, context.body)

    async def _told(self, context) -> Answer:
        return json_answer(200, context.key)

    async def sent(self, caller: Caller | None, *, call=None, body: bytes = b'{"name": "x"}', **headers: str) -> Answer:
        lines = {} if caller is None else self.world.manage_headers(caller)
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(
            method="POST",
            path="/names",
            headers={name.lower().encode(): value.encode() for name, value in lines.items()},
            path_parameters={},
            body=body,
        )
        service = self.world.service
        services = Services(
            store=self.world.database.store,
            policies=self.world.database.policies,
            archive=PolicyArchive(store=self.world.database.store),
            clock=self.world.clock,
            authenticator=AsItIs(self.world),
            command_ids=CommandIds(),
            cancel=service.cancel.submit_and_show_history,
            public_url="",
            refusals_kept=timedelta(days=400),
        )
        return await execute(call or self.change, request, services, self.rules)


class AsItIs:
    """Finds the client by its key alone."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def client(self, _, credential):
        found = await self.world.database.clients.by_key(credential.token.partition(".")[0])
        if found is None:
            raise NotAuthenticatedError("unknown")
        return found[0]


@pytest.fixture
def uses(monkeypatch) -> list[str]:
    """Each time that an answer is put into its stored form, or read from it."""
    seen: list[str] = []

    def encode(answer: Answer) -> bytes:
        seen.append("stored")
        return stored(answer)

    def decode(kept: bytes) -> Answer:
        seen.append("restored")
        return restored(kept)

    monkeypatch.setattr(module, "_KEPT_FORM", module.KeptForm(encode=encode, decode=decode))
    return seen


def test_an_answer_is_stored_as_earlier_versions_store_it_and_read_from_it():
    assert stored(ANSWER) == STORED
    assert restored(STORED) == ANSWER


async def test_without_a_key_no_answer_is_put_into_its_stored_form(world: World, uses: list[str]):
    shop = Shop(world)

    answer = await shop.sent(await world.manage_client())

    assert (answer.status, answer.body) == (201, b'{"name":"x"}')
    assert uses == []
    assert await world.rows("idempotency_keys") == []


async def test_under_a_key_an_answer_is_stored_once_and_read_for_the_repeat(world: World, uses: list[str]):
    shop, me = Shop(world), await world.manage_client()

    first = await shop.sent(me, Idempotency_Key="k")
    assert uses == ["stored"]
    again = await shop.sent(me, Idempotency_Key="k")

    assert uses == ["stored", "restored"]
    assert first == again
    assert shop.names == ["x"]
    assert [row["answer"] for row in await world.rows("idempotency_keys")] == [stored(first).decode()]


@pytest.mark.parametrize(("said", "kept"), [("full", 1), ("wrong", 0)])
async def test_a_refusal_is_stored_only_with_a_status_that_the_contract_stores(world: World, said: str, kept: int):
    shop, me = Shop(world, refuses=ConflictError("a_code", said)), await world.manage_client()

    for _ in range(2):
        if kept:
            assert (await shop.sent(me, Idempotency_Key="k")).status == 409
        else:
            with pytest.raises(ConflictError):
                await shop.sent(me, Idempotency_Key="k")

    assert len(await world.rows("idempotency_keys")) == kept
    assert len(shop.names) == 2 - kept


async def test_each_check_comes_before_the_next(world: World):
    told = []

    def version(headers) -> int:
        told.append("version")
        if b"x-version" not in headers:
            raise MalformedRequestError("version")
        return 1

    nobody = None
    tied, me = await world.manage_client(permissions=frozenset()), await world.manage_client()
    wrong = {"Content_Type": "text/plain", "Idempotency_Key": "a b"}
    right = {"X_Version": "1", "Content_Type": "application/json"}
    for first, expected in [
        (True, [UnsupportedMediaTypeError, NotAuthenticatedError, MalformedRequestError, ForbiddenError]),
        (False, [NotAuthenticatedError, MalformedRequestError, ForbiddenError, UnsupportedMediaTypeError]),
    ]:
        shop = Shop(world, media_type_first=first, version=version)
        steps = [
            (nobody, wrong),
            *([(nobody, right | {"Idempotency_Key": "a b"})] if first else []),
            (tied, wrong | ({"Content_Type": "application/json"} if first else {})),
            (tied, wrong | {"X_Version": "1"} | ({"Content_Type": "application/json"} if first else {})),
            *([] if first else [(me, wrong | {"X_Version": "1"})]),
        ]
        for (caller, headers), error in zip(steps, expected, strict=True):
            with pytest.raises(error):
                await shop.sent(caller, body=b"{", **headers)
        with pytest.raises(MalformedRequestError, match="Idempotency-Key"):
            await shop.sent(me, body=b"{", **right, Idempotency_Key="a b")
        with pytest.raises(MalformedRequestError, match="JSON"):
            await shop.sent(me, body=b"{", **right)
        with pytest.raises(FieldsError):
            await shop.sent(me, body=b"{}", **right)
        assert shop.names == []
    assert await world.rows("idempotency_keys") == []


async def test_a_call_with_the_services_is_given_its_key_and_stores_nothing_by_itself(world: World, uses: list[str]):
    shop = Shop(world)

    answer = await shop.sent(await world.manage_client(), call=shop.read, Idempotency_Key="k")

    assert msgspec.json.decode(answer.body)["key"] == "k"
    assert uses == []
    assert await world.rows("idempotency_keys") == []
