"""What the short cut relies on: the attributes and the code of uvicorn that it stands in for."""

import ast
import hashlib
import inspect
import textwrap
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from countermand.web.http_protocol import HttpProtocol
from countermand.web.short_cut import TakenRequest


def test_a_taken_request_has_every_attribute_that_the_protocols_use_of_a_cycle():
    used = used_of_cycles(HttpToolsProtocol, without={"on_headers_complete", "_start_asgi_task"})
    used |= used_of_cycles(HttpProtocol, without={"_new_cycle", "_start_asgi_task"})
    assert {"response_complete", "disconnected", "message_event", "keep_alive", "body"} <= used
    assert used <= set(TakenRequest.__slots__)


def used_of_cycles(protocol: type, *, without: set[str]) -> set[str]:
    """The attributes that a class uses of what it calls a cycle."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(protocol))).body
    assert isinstance(made, ast.ClassDef)
    methods = [one for one in made.body if isinstance(one, ast.FunctionDef) and one.name not in without]
    names = {"cycle", "_current", "newest", "before", "existing_cycle"}
    return {
        node.attr
        for method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and (getattr(node.value, "attr", None) in names or getattr(node.value, "id", None) in names)
    }


# The digests of uvicorn's code that `short_cut.py` does without. If one differs, compare the new code with what the
# short cut does instead, and write the new digest here.
STOOD_IN_FOR = {
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2baef",
    HttpToolsProtocol.on_url: "37be44e962b04ca8",
    HttpToolsProtocol.on_header: "65d62c044f61fdbd",
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e29c55",
    HttpToolsProtocol.shutdown: "d7351fa33f00d430",
    RequestResponseCycle.__init__: "4d2f220910c33c12",
    RequestResponseCycle.run_asgi: "0f33f2449a444bc2",
    RequestResponseCycle.send: "abdd8601b326a8da",
}


@pytest.mark.parametrize("code", STOOD_IN_FOR, ids=lambda code: code.__qualname__)
def test_the_code_of_uvicorn_that_the_short_cut_stands_in_for_is_what_it_was_written_for(code: Any):
    assert digest(code) == STOOD_IN_FOR[code]


def digest(code: Any) -> str:
    return hashlib.sha256(inspect.getsource(code).encode()).hexdigest()[:16]
