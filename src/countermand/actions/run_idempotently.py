"""Runs a request that changes something once, however often a client sends it under one `Idempotency-Key`.

Cancellations do not come here: their guarded statement writes their keys itself.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from countermand.actions.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    KeyTakenError,
    OrderTakenError,
    TransientConflictError,
    UnavailableError,
    cancellation_undone,
    kept_by_another_version,
    number_taken,
)
from countermand.actions.idempotency import IdempotencyKey, KeptAnswer, KeptAnswers
from countermand.actions.ports import Clock, Transactions
from countermand.domain.client import ClientId

Result = TypeVar("Result")
Writing = TypeVar("Writing", bound=KeptAnswers)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptForm(Generic[Result]):
    """Encodes a result to the bytes that are stored under an `Idempotency-Key`, and decodes these bytes.

    The bytes are None for a result that is not stored, because a later repeat may need another answer.
    """

    encode: Callable[[Result], bytes | None]
    decode: Callable[[bytes], Result]


async def run_idempotently(
    store: Transactions[Writing],
    clock: Clock,
    client_id: ClientId,
    key: IdempotencyKey | None,
    do: Callable[[Writing], Awaitable[Result]],
    refuse: Callable[[ConflictError], Result | None],
    kept_form: KeptForm[Result],
) -> Result:
    """Run `do` in a transaction and return its result; under a key that was used before, return the stored result.

    The key is claimed first: of two requests under one key, the second waits with nothing locked, and then finds the
    result of the first. The transaction that has the effect also writes the key. A business refusal (`ConflictError`)
    undoes what `do` did, and the result of `refuse` is stored like a success. If `refuse` returns None, the refusal is
    raised; like every other exception it undoes everything and leaves the key free. Without a key, no result is
    encoded. Raises `IdempotencyKeyReusedError` if the key stands for another request, and `UnavailableError` if the
    request conflicted with other requests each time.
    """
    try:
        return await _with_retries(lambda: _once(store, clock, client_id, key, do, refuse, kept_form))
    except OrderTakenError as error:  # a new order may be written no sooner than at the commit
        raise number_taken() from error
    except (KeyTakenError, TransientConflictError) as error:
        raise UnavailableError(
            "the request conflicted with other requests three times and was not carried out; send it again"
        ) from error


async def _with_retries(run: Callable[[], Awaitable[Result]]) -> Result:
    # A cancellation and a node of an older version claim no key: a clash with their keys is found at the end.
    with suppress(KeyTakenError, TransientConflictError):
        return await run()  # nearly always enough; the retries cost more than a statement
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((KeyTakenError, TransientConflictError)),
        stop=stop_after_attempt(2),
        wait=wait_random_exponential(multiplier=0.01, max=0.2),
        reraise=True,
    ):
        with attempt:
            return await run()
    raise AssertionError("unreachable: the loop returns or raises")


async def _once(
    store: Transactions[Writing],
    clock: Clock,
    client_id: ClientId,
    key: IdempotencyKey | None,
    do: Callable[[Writing], Awaitable[Result]],
    refuse: Callable[[ConflictError], Result | None],
    kept_form: KeptForm[Result],
) -> Result:
    """Run the request; a refusal ends its transaction, and is stored by another one.

    A savepoint would cost each success two round trips. Between the two transactions another request under the key may
    be carried out: then it came first, and its result is that of this request, too.
    """
    refusal: Result | None = None
    try:
        async with store.transaction() as tx:
            if key is not None and (kept := await _claimed(tx, client_id, key.key)) is not None:
                return _given_again(kept, key, kept_form)
            try:
                result = await do(tx)
            except ConflictError as error:
                refusal = refuse(error)
                raise
            if key is not None and (kept_as := kept_form.encode(result)) is not None:
                await tx.keep_answer(client_id, key, kept_as, clock())
            return result
    except ConflictError:
        if refusal is None:
            raise
    if key is None or (kept_as := kept_form.encode(refusal)) is None:
        return refusal
    async with store.transaction() as tx:
        if (kept := await _claimed(tx, client_id, key.key)) is not None:
            return _given_again(kept, key, kept_form)
        await tx.keep_answer(client_id, key, kept_as, clock())
    return refusal


async def _claimed(tx: KeptAnswers, client_id: ClientId, key: str) -> KeptAnswer | None:
    """Claim a key, and return what it stands for already."""
    await tx.claim_key(client_id, key)
    return await tx.kept_answer(client_id, key)


def _given_again(kept: KeptAnswer, key: IdempotencyKey, kept_form: KeptForm[Result]) -> Result:
    if not kept.fingerprints.agree_with(key.fingerprints):
        raise IdempotencyKeyReusedError
    if kept.is_undone:
        raise cancellation_undone()
    if kept.answer is None:  # no cancellation, as it is the same request
        raise kept_by_another_version()
    return kept_form.decode(kept.answer)
