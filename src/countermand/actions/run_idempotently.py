"""Runs a request that changes something only once, even if it is sent several times with one `Idempotency-Key`.

It serves all requests except cancellations, whose guarded statement writes the key itself.
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
    """Converts a result to the bytes that are stored with an `Idempotency-Key`, and back."""

    encode: Callable[[Result], bytes]
    decode: Callable[[bytes], Result]


def fingerprint_of(method: str, path: str, body: bytes) -> str:
    """Return the fingerprint of a request.

    Two requests are the same if method, path and body are equal, byte by byte.
    """
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
    """Run `do` in a transaction and return its result. For a key that was used before, return the stored result.

    The transaction of the effect also writes the key. A business refusal (`ConflictError`) undoes what `do` did and is
    stored like a success, as the result of `refuse`. If `refuse` returns None, the refusal is raised like every other
    exception, which undoes everything and leaves the key unused. Without a key, no result is converted to its
    `kept_form`. Raises `IdempotencyKeyReusedError` if the key belongs to another request, and `UnavailableError` if the
    request conflicted with other requests in every attempt.
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
        # Two requests with one key at the same time: the second fails on the first's key, and then finds its answer.
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
                    if answer is None:  # not a cancellation's key, because the fingerprint is equal
                        raise kept_by_another_version()
                    return kept_form.decode(answer)
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
