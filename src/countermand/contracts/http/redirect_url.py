"""The type of an address that a buyer is led back to, and the errors of one, for all messages that have it."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta

from countermand.actions.errors import FieldsError
from countermand.domain.redirects import (
    EXAMPLE,
    LONGEST_SCHEME,
    LONGEST_URL,
    MOST_SCHEMES,
    SCHEME_PATTERN,
    URL_PATTERN,
    RedirectError,
    Redirects,
    redirects_of,
)

FIELDS: Final = {"url": "redirect_url", "schemes": "redirect_schemes"}

# A client's list decides about the scheme, so `redirect_url_errors` looks at it after the message was read.
RedirectUrl = Annotated[
    str,
    Meta(
        max_length=LONGEST_URL,
        pattern=URL_PATTERN,
        examples=[EXAMPLE],
        extra={"in_words": f"an address like {EXAMPLE}, of at most {LONGEST_URL} characters"},
    ),
]
RedirectSchemes = Annotated[
    list[Annotated[str, Meta(max_length=LONGEST_SCHEME, pattern=SCHEME_PATTERN, examples=["myapp"])]],
    Meta(
        max_length=MOST_SCHEMES,
        description="The schemes that a redirect_url may have beside http and https",
        examples=[["myapp"]],
        extra={
            "in_words": f"a list of at most {MOST_SCHEMES} names of schemes, of letters, digits, + . - and at most "
            f"{LONGEST_SCHEME} characters, like myapp"
        },
    ),
]


def redirect_url_errors(redirects: Redirects, url: str | None) -> list[tuple[str, str]]:
    """Return the errors of an address that a client wants its buyer to be led back to."""
    if url is not None:
        try:
            redirects.check_url(url)
        except RedirectError as error:
            return [_named(error)]
    return []


def redirects_given(url: str | None, schemes: Sequence[str]) -> Redirects:
    """Return the addresses of a client. Raises `FieldsError`."""
    try:
        return redirects_of(url, schemes)
    except RedirectError as error:
        raise FieldsError([_named(error)]) from None


def _named(error: RedirectError) -> tuple[str, str]:
    field = FIELDS[error.field]
    return field, f"{field} {error}"
