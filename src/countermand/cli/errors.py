"""The errors of commands, and how a program reads them: as the body that the management API would answer."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typer.exceptions import TyperException

from countermand.actions.errors import CountermandError, FieldsError, OutcomeUnknownError, SchemaError

if TYPE_CHECKING:
    from countermand.actions.cancelling.approvals import ApprovalDiffers
    from countermand.actions.cancelling.override import OverrideDiffers
    from countermand.contracts.http.answer import Answer
    from countermand.domain.cancelling.decision import Refused


class CommandError(Exception):
    """Raised if a command was not carried out. The message says why, and what to do.

    `status` and `code` are those of the management API for such an error.
    """

    def __init__(self, message: str, *, status: int = 422, code: str = "invalid_field") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class NotCancelledError(CommandError):
    """Raised if the policy refused a cancellation."""

    def __init__(self, message: str, refused: "Refused") -> None:
        super().__init__(message)
        self.refused = refused


class OverrideDiffersError(CommandError):
    """Raised if an override does not name exactly the rules that refuse."""

    def __init__(self, message: str, differs: "OverrideDiffers") -> None:
        super().__init__(message)
        self.differs = differs


class ApprovalDiffersError(CommandError):
    """Raised if the terms of an approval do not hold any more."""

    def __init__(self, message: str, differs: "ApprovalDiffers") -> None:
        super().__init__(message)
        self.differs = differs


def option_of(field: str) -> str:
    """Return the option for a parameter of the API: `--placed-from` for `placed_from`."""
    return "--" + field.replace("_", "-")


@contextmanager
def named_as_options(names: Callable[[str], str] = option_of) -> Iterator[None]:
    """Name the option in the errors of the block, where the API names the field."""
    try:
        yield
    except FieldsError as error:
        named = [(names(field), re.sub(rf"^{field}\b", names(field), sentence)) for field, sentence in error.errors]
        raise FieldsError(named) from None


def error_as_json(error: Exception) -> str:
    """Return an error as a program reads it: `{"error": …}`, with the body that the management API would answer."""
    import msgspec

    from countermand.contracts.http.answer import indented

    return indented({"error": msgspec.Raw(_answer(error).body)})


def _answer(error: Exception) -> "Answer":
    from countermand.contracts.manage.approval_output import approval_differs_answer
    from countermand.contracts.manage.translate import (
        override_differs_answer,
        problem,
        problem_answer,
        refusal_answer,
    )

    match error:
        case NotCancelledError(refused=refused):
            return refusal_answer(refused)
        case OverrideDiffersError(differs=differs):
            return override_differs_answer(differs)
        case ApprovalDiffersError(differs=differs):
            return approval_differs_answer(differs)
        case CommandError(status=status, code=code):
            return problem(status, code, str(error))
        case TyperException():  # a wrong option, a missing argument and the like
            return problem(422, "invalid_field", error.format_message())
        case OutcomeUnknownError():  # over HTTP, its sentence goes to the log; here it says what became of the request
            return problem(500, "unexpected", str(error))
        case CountermandError() if not isinstance(error, SchemaError):
            return problem_answer(error)
    return problem(503, "unavailable", str(error))  # the settings, the schema, or another server forbid the work
