"""How is a request that changes something done once, however often it is sent under one `Idempotency-Key`?

For everything but a cancellation, whose key is written by its own guarded statement.
"""

import hashlib
from collections.abc import Awaitable, Callable

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
    do: Callable[[Transaction], Awaitable[bytes]],
    refuse: Callable[[ConflictError], bytes | None],
) -> bytes:
    """Run `do` in a transaction and give its answer; under a key that was used before, give the answer of that time.

    The key is written in the transaction of the effect. A business refusal (`ConflictError`) undoes what `do` did and
    is kept like a success, in the words of `refuse`, unless these are None: then it is raised like every other
    exception, which undoes all, and leaves the key free. Raises `IdempotencyKeyReusedError` where the key stands for
    another request, and `UnavailableError` where the request conflicted with others each time.
    """
    try:
        return await _with_retries(store, clock, client_id, key, do, refuse)
    except (KeyTakenError, TransientConflictError) as error:
        raise UnavailableError("the request conflicted with others three times; nothing was done") from error


async def _with_retries(
    store: Store,
    clock: Clock,
    client_id: ClientId,
    key: IdempotencyKey | None,
    do: Callable[[Transaction], Awaitable[bytes]],
    refuse: Callable[[ConflictError], bytes | None],
) -> bytes:
    async for attempt in AsyncRetrying(
        # Two at once under one key: the second fails on the first's key, and then finds its answer.
        retry=retry_if_exception_type((KeyTakenError, TransientConflictError)),
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.01, max=0.2),
        reraise=True,
    ):
        with attempt:
            async with store.transaction() as tx:
                if key is not None and (kept := await tx.kept_answer(client_id, key.key)) is not None:
                    fingerprint, answer = kept
                    if fingerprint != key.fingerprint:
                        raise IdempotencyKeyReusedError
                    if answer is None:  # no cancellation, as it is the same request
                        raise kept_by_another_version()
                    return answer
                try:
                    async with tx.part():
                        answer = await do(tx)
                except ConflictError as error:
                    if (refusal := refuse(error)) is None:
                        raise
                    answer = refusal
                if key is not None:
                    await tx.keep_answer(client_id, key, answer, clock())
                return answer
    raise AssertionError("unreachable: the loop returns or raises")
