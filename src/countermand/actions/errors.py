"""Errors that this service raises on purpose. They carry data and know nothing about HTTP.

A business refusal is a value (`Refused`, `NotCancelled`), not an exception. A bug is neither, and no code catches it.
Each contract has one table that gives these errors their status.
"""


class CountermandError(Exception):
    """The base class of errors that the contracts answer: something outside this code prevents the work."""


class NotFoundError(CountermandError):
    """The order, client or other thing does not exist, or the caller may not know of it."""


class ConflictError(CountermandError):
    """The current state of the order does not allow the request. `code` is stable; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CursorGoneError(CountermandError):
    """A cursor of the feed of events does not lead on without a gap. `code` is stable; `go_on` is the next cursor."""

    def __init__(self, code: str, message: str, go_on: str) -> None:
        super().__init__(message)
        self.code = code
        self.go_on = go_on


class FieldsError(CountermandError):
    """One or more fields of the request are wrong. `errors` lists all of them as (field, sentence) pairs."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(sentence for _, sentence in errors))
        self.errors = errors


class NotAuthenticatedError(CountermandError):
    """The caller is unknown: the credential is missing, wrong, or no longer valid. The message has no secret.

    `scheme` is the authentication scheme that the caller tried, or "" if it is missing or unknown. `refused` says that
    the request had a credential.
    """

    def __init__(self, message: str, *, scheme: str = "", refused: bool = False) -> None:
        super().__init__(message)
        self.scheme, self.refused = scheme, refused


class UnavailableError(CountermandError):
    """Nothing was done, for certain. The caller should send the request again in `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HeldError(UnavailableError):
    """Another transaction held a row of the batch for longer than the limit. Nothing of the batch was done."""


class KeySetUnavailableError(UnavailableError):
    """The token names an unknown key, and the issuer's key set is not available at the moment."""

    def __init__(self) -> None:
        super().__init__(
            "the issuer's key set cannot be fetched right now, so the token was not checked; send the request again",
            retry_after_s=5,
        )


class OutcomeUnknownError(CountermandError):
    """The database went away before it answered. The work is done or not; a repeat of the request finds out."""


class TransientConflictError(CountermandError):
    """The database chose another transaction over this one (deadlock, serialisation).

    A repeat will probably succeed.
    """


class UnfitDataError(CountermandError):
    """The database refused a value or a row (a range, a check, a reference). Nothing was done.

    A repeat would be refused, too, so no answer asks for one. `constraint` names the broken constraint, if there is
    one.
    """

    def __init__(self, message: str, *, constraint: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint


class TakenError(UnfitDataError):
    """A row with this unique key, `constraint`, exists already. Nothing was done."""


class OrderTakenError(TakenError):
    """An order with this number exists already. Nothing was done; another number may be free."""


class KeyTakenError(TakenError):
    """An idempotency key of the batch is already in use. Nothing of the batch was done."""


class IdempotencyKeyReusedError(CountermandError):
    """The client used this `Idempotency-Key` before, for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request; nothing was done; use a new key")


def kept_by_another_version() -> UnavailableError:
    """Return the error for an idempotency key whose answer was stored in a form that this version cannot read."""
    said = "what this Idempotency-Key stands for was stored by a newer version than this node's"
    return UnavailableError(f"{said}; nothing was done; send the request again, or to another node")


def cancellation_undone() -> ConflictError:
    """Return the error for a repeat of a cancellation that was undone since."""
    return ConflictError(
        "cancellation_undone",
        "this request cancelled the order, and the operator has undone that since; nothing was cancelled again; to "
        "cancel the order, send a new request, with another Idempotency-Key, or ask for a new approval",
    )


def number_taken() -> UnavailableError:
    """Return the error for a new order whose number another order has."""
    return UnavailableError("the number made for the order is taken; the order was not placed; send the request again")


class UnforeseenDatabaseError(Exception):
    """The database failed in a way that this code does not expect: a table is missing, or a statement is wrong.

    This is a bug, or the effect of a change by an operator, so it is no `CountermandError`: no contract gives it a
    status, and a request that meets it ends with 500 and a stack trace. Background tasks and probes catch it and
    continue.
    """


class SchemaError(CountermandError):
    """This version does not work with the schema of the database. The message says what to do."""
