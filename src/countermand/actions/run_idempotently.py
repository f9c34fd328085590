"""How is a request that changes something done once, however often it is sent under one `Idempotency-Key`?

For everything but a cancellation, whose key is written by its own guarded statement.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from countermand.actions.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    KeyTakenError,
    TransientConflictError,
    UnavailableError,
    kept_by_another_version,
)
from countermand.actions.ports import Clock, IdempotencyKey, Store, Transaction
from countermand.domain.client import ClientId

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptForm(Generic[Result]):
    """How a result becomes the bytes that are stored under an `Idempotency-Key`, and those bytes the result again."""

    encode: Callable[[Result], bytes]
    decode: Callable[[bytes], Result]


def fingerprint_of(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same: method, path and body, to the byte."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return digest.hexdigest()


async def run_idempotently(
    store: Store,
    clock: Clock,
    client_id: ClientId,
    key: IdempotencyKey | None,
    do: Callable[[Transaction], Awaitable[Result]],
    refuse: Callable[[ConflictError], Result | None],
    kept_form: KeptForm[Result],
) -> Result:
    """Run `do` in a transaction and give its result; under a key that was used before, give the result of that time.

    The key is claimed first: of two requests under one key, the second waits with nothing locked, and then finds the
    answer of the first. The key is written in the transaction of the effect. A business refusal (`ConflictError`)
    undoes what `do` did and is kept like a success, as the result of `refuse`, unless that is None: then it is raised
    like every other exception, which undoes all, and leaves the key free. Without a key, no result is put into its
    `kept_form`. Raises `IdempotencyKeyReusedError` where the key stands for another request, and `UnavailableError`
    where the request conflicted with others each time.
    """
    try:
        return await _with_retries(store, clock, client_id, key, do, refuse, kept_form)
    except (KeyTakenError, TransientConflictError) as error:
        raise UnavailableError(
            "the request conflicted with other requests three times and was not carried out; send it again"
        ) from error


async def _with_retries(
    store: Store,
    clock: Clock,
    client_id: ClientId,
    key: IdempotencyKey | None,
    do: Callable[[Transaction], Awaitable[Result]],
    refuse: Callable[[ConflictError], Result | None],
    kept_form: KeptForm[Result],
) -> Result:
    async for attempt in AsyncRetrying(
        # A cancellation, or a node of an older version, claims no key: a clash with its key is found at the end.
        retry=retry_if_exception_type((KeyTakenError, TransientConflictError)),
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.01, max=0.2),
        reraise=True,
    ):
        with attempt:
            async with store.transaction() as tx:
                if key is not None:
                    await tx.claim_key(client_id, key.key)
                    if (kept := await tx.kept_answer(client_id, key.key)) is not None:
                        return _given_again(kept, key, kept_form)
                try:
                    async with tx.part():
                        result = await do(tx)
                except ConflictError as error:
                    if (refusal := refuse(error)) is None:
                        raise
                    result = refusal
                if key is not None:
                    await tx.keep_answer(client_id, key, kept_form.encode(result), clock())
                return result
    raise AssertionError("unreachable: the loop returns or raises")


def _given_again(kept: tuple[str, bytes | None], key: IdempotencyKey, kept_form: KeptForm[Result]) -> Result:
    fingerprint, answer = kept
    if fingerprint != key.fingerprint:
        raise IdempotencyKeyReusedError
    if answer is None:  # no cancellation, as it is the same request
        raise kept_by_another_version()
    return kept_form.decode(answer)
