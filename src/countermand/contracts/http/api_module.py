"""An API module: the calls of a contract, of the operator, or of the token endpoint, served and described together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from countermand.contracts.http.answer import JSON
from countermand.contracts.http.calls import Call, CallRules
from countermand.contracts.http.cancel_endpoint import CancelEndpoint
from countermand.contracts.http.error_codes import ErrorCode, table
from countermand.contracts.http.examples import Examples
from countermand.contracts.http.openapi import Operation, document
from countermand.contracts.http.webhooks import Webhook

# The description of a published contract begins with this.
NOT_AFFILIATED: Final = "An independent implementation of a published contract, not affiliated with its owner. "
# The rule of every body (shopping decision 30); many generators would lose a field's type if each schema said so.
_NULLS: Final = " In a body, null in an optional field is as if the field were left out."

_SPELLINGS: Final = ("WithoutSlash", "WithSlash")

Notices = Callable[[Mapping[bytes, bytes]], tuple[tuple[bytes, bytes], ...]]


def _no_notices(_: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class ApiModule:
    """The calls below a prefix, the rules that check them, their cancel endpoint, if any, and their description.

    `notices` returns, for a request's headers, the header lines that every answer to it gets besides its own. Web pages
    of `browser_origins`, and no others, may call these calls from a browser. `webhooks` are described beside the calls.
    """

    name: str
    title: str
    about: str
    prefix: str
    calls: Sequence[Call]
    rules: CallRules
    cancel: tuple[CancelEndpoint, Operation] | None
    security: Mapping[str, object]
    notices: Notices = _no_notices
    browser_origins: Sequence[str] = ()
    error_codes: Sequence[ErrorCode] = ()
    examples: Examples = Examples()  # noqa: RUF009 - it cannot change
    webhooks: Sequence[Webhook] = ()

    def openapi(self, public_url: str, version: str) -> dict[str, object]:
        """Return the module's OpenAPI 3.1 document, for clients that use `public_url`."""
        operations = [call.operation for call in self.calls]
        if self.cancel is not None:
            endpoint, operation = self.cancel
            operations[:0] = [operation, *_other_spellings(endpoint, operation)]
        return document(
            title=self.title,
            version=version,
            description=self._description(operations),
            server=public_url,
            operations=operations,
            security=self.security,
            examples=self.examples,
            webhooks=self.webhooks,
        )

    def _description(self, operations: Sequence[Operation]) -> str:
        """Return the text of the document, in Markdown: what the calls are, and what each error's code means."""
        takes_json = any(one.request and one.request_media_type == JSON for one in operations)
        said = self.about + (_NULLS if takes_json else "")
        return f"{said}\n\n## Error codes\n\n{table(self.error_codes)}" if self.error_codes else said


def _other_spellings(endpoint: CancelEndpoint, operation: Operation) -> list[Operation]:
    """Return the same operation for each other path of the endpoint, with a name of its own."""
    paths = sorted(endpoint.paths - {operation.path})
    return [
        replace(
            operation,
            name=f"{operation.name}{_SPELLINGS[path.endswith('/')]}",
            path=path,
            spelling_of=operation.name,
        )
        for path in paths
    ]
