"""A slash that is encoded stays inside its segment of a path, and every other character is decoded as before."""

from typing import Any

import pytest

from countermand.web.path_segments import KeepsEncodedSlashes, path_parameters

TEMPLATE = "/orders/{id}/payments/{reference}/void"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/orders/1/payments/a%2Fb/void", "/orders/1/payments/a%2Fb/void"),
        (b"/orders/1/payments/a%2fb%20c/void", "/orders/1/payments/a%2Fb c/void"),
        (b"/orders/1/payments/a%252Fb/void", None),
        (b"/orders/1/payments/a%20b/void", None),
        (b"/orders/1", None),
    ],
)
async def test_the_framework_sees_an_encoded_slash_and_no_other_path_is_changed(raw: bytes, path: str | None):
    seen: list[Any] = []

    async def framework(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope)

    scope: Any = {"type": "http", "path": "as the server decoded it", "raw_path": raw}
    await KeepsEncodedSlashes(framework)(scope, None, None)  # type: ignore[arg-type]
    assert seen[0]["path"] == (path or scope["path"])
    assert path is not None or seen[0] is scope


@pytest.mark.parametrize(
    ("raw", "found", "reference"),
    [
        (b"/orders/1/payments/a%2Fb/void", "a%2Fb", "a/b"),
        (b"//orders/1/payments/a%2Fb%252F%2F/void/", "a%2Fb%2F%2F", "a/b%2F/"),
        (b"/orders/1/payments/a%252Fb/void", "a%2Fb", "a%2Fb"),
        (b"/orders/1/payments/tx/void", "tx", "tx"),
    ],
)
def test_a_parameter_is_the_text_that_was_encoded(raw: bytes, found: str, reference: str):
    assert path_parameters(TEMPLATE, raw, {"id": "1", "reference": found}) == {"id": "1", "reference": reference}
