"""Answers with a page that runs no script and is never cached: the pages for buyers, and the pages about errors."""

from countermand.contracts.http.answer import Answer
from countermand.domain.redirects import policy_source_of


def page_answer(status: int, text: str, *headers: tuple[bytes, bytes], forms_to: str | None = None) -> Answer:
    """Return a page. Its forms go only to this service, which may redirect to the shop's origin, that of `forms_to`."""
    return Answer(status, (*guarded(forms_to), *headers, (b"content-type", b"text/html; charset=utf-8")), text.encode())


def guarded(forms_to: str | None = None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that keep a page to itself."""
    source = None if forms_to is None else policy_source_of(forms_to)
    shop = "" if source is None else f" {source}"
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        f"form-action 'self'{shop}"
    )
    return (
        (b"content-security-policy", policy.encode("latin-1", "ignore")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
    )
