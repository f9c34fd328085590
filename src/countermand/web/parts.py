"""What is spoken here? Each contract, and the operator's API: its routes, its words for errors, its description."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from countermand.contracts.answer import Answer
from countermand.contracts.connect import routes as connect
from countermand.contracts.connect.cancel import ConnectCancel
from countermand.contracts.connect.translate import error_answer as connect_error
from countermand.contracts.door import CancelDoor
from countermand.contracts.openapi import Operation, document
from countermand.contracts.routing import Route
from countermand.contracts.shopping import routes as shopping
from countermand.contracts.shopping.addresses import Addresses
from countermand.contracts.shopping.cancel import ShoppingCancel
from countermand.contracts.shopping.translate import error_answer as shopping_error
from countermand.web import manage
from countermand.web.manage_translate import problem_answer

Speak = Callable[[Exception], Answer]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A contract, or the operator's API: its routes, its cancel path, its words for errors, and its description."""

    name: str
    title: str
    about: str
    prefix: str
    routes: Sequence[Route]
    cancel: tuple[CancelDoor, Operation] | None
    speak: Speak
    security: Mapping[str, Any]

    def openapi(self, server_path: str, version: str) -> dict[str, Any]:
        """The part's OpenAPI 3.1 document."""
        operations = [route.operation for route in self.routes]
        if self.cancel is not None:
            operations.insert(0, self.cancel[1])
        return document(
            title=self.title,
            version=version,
            description=self.about,
            server_path=server_path,
            operations=operations,
            security=self.security,
        )


_NOT_AFFILIATED: Final = "An independent implementation of a published contract, not affiliated with its owner. "


def parts(addresses: Addresses) -> tuple[Part, ...]:
    """Everything that is spoken here. Another contract is another folder, and another entry in this list."""
    return (
        Part(
            name="connect",
            title="Countermand: connect (telecom wholesale)",
            about=_NOT_AFFILIATED + "Every call needs `Authorization: Bearer` and `X-API-VERSION`.",
            prefix="/api/connect",
            routes=connect.ROUTES,
            cancel=(ConnectCancel(), connect.CANCEL),
            speak=connect_error,
            security={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        ),
        Part(
            name="manage",
            title="Countermand: management",
            about="Ours: for the operator and the systems beside Countermand.",
            prefix=manage.ROOT,
            routes=manage.ROUTES,
            cancel=None,
            speak=problem_answer,
            security={"bearer": {"type": "http", "scheme": "bearer"}},
        ),
        Part(
            name="shopping",
            title="Countermand: shopping (ticketing)",
            about=_NOT_AFFILIATED + "HAL; every call needs an application's key and secret.",
            prefix="/",
            routes=shopping.routes(addresses),
            cancel=(ShoppingCancel(addresses), shopping.CANCEL),
            speak=shopping_error,
            security={"basic": {"type": "http", "scheme": "basic"}},
        ),
    )
