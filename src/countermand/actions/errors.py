"""How does the world say no? Exceptions that carry their data and know nothing of HTTP.

A refusal by the business is no exception but a value (`Refused`, `NotCancelled`); a bug is neither and is never caught.
Each contract gives these their status in one place.
"""


class CountermandError(Exception):
    """The world says no."""


class NotFoundError(CountermandError):
    """There is no such thing, or none that the caller may know of."""


class ConflictError(CountermandError):
    """What was asked does not fit the order as it stands. `code` is stable; the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FieldsError(CountermandError):
    """Fields of the request do not hold: `errors` are (field, sentence) pairs, all of them at once."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(sentence for _, sentence in errors))
        self.errors = errors


class NotAuthenticatedError(CountermandError):
    """Who calls is unknown: no credential, a wrong one, or one that counts no more. The message tells no secret.

    `scheme` is the authentication scheme that the caller tried, "" where the caller tried none that is known here;
    `refused` says that a credential came with it.
    """

    def __init__(self, message: str, *, scheme: str = "", refused: bool = False) -> None:
        super().__init__(message)
        self.scheme, self.refused = scheme, refused


class UnavailableError(CountermandError):
    """Certainly not done, and worth asking again in `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HeldError(UnavailableError):
    """Another transaction held a row of the batch for longer than anybody waits; nothing of the batch was done."""


class KeySetUnavailableError(UnavailableError):
    """The token names a key that is not known, and the issuer's key set cannot be had right now."""

    def __init__(self) -> None:
        super().__init__(
            "the issuer's key set cannot be fetched right now, so the token was not checked; send the request again",
            retry_after_s=5,
        )


class OutcomeUnknownError(CountermandError):
    """The database went away between the question and its answer: done or not, a repeat settles it."""


class TransientConflictError(CountermandError):
    """The database chose another transaction over this one (deadlock, serialisation): done again, it may well work."""


class UnfitDataError(CountermandError):
    """The database refused a value or a row (a range, a check, a reference): nothing was done.

    A repeat is refused alike, so no caller is told to come again. `constraint` names the broken one, if there is one.
    """

    def __init__(self, message: str, *, constraint: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint


class TakenError(UnfitDataError):
    """A row with this unique key, `constraint`, is there already; nothing was done."""


class OrderTakenError(TakenError):
    """An order with this number is there already; nothing was done. Another number is free."""


class KeyTakenError(TakenError):
    """An idempotency key of the batch is already in use; nothing of the batch was done."""


class IdempotencyKeyReusedError(CountermandError):
    """The client used this `Idempotency-Key` before, for another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request; nothing was done; use a new key")


def kept_by_another_version() -> UnavailableError:
    """What an idempotency key stands for was stored in a form that this version cannot read."""
    said = "what this Idempotency-Key stands for was stored by a newer version than this node's"
    return UnavailableError(f"{said}; nothing was done; send the request again, or to another node")


class UnforeseenDatabaseError(Exception):
    """The database failed in a way that this code has no answer for: a table is missing, or a statement is wrong.

    This is a bug of ours or a change that an operator made, so it is no `CountermandError`: no contract gives it a
    status, and a request that meets it ends with 500 and a stack trace. Background tasks and probes catch it and go on.
    """


class SchemaError(CountermandError):
    """The database's schema is none this version works with. The message says what to do."""
