"""What is a dialect? A pure function that turns an event into the body and headers that a receiver understands.

`delivery/dialects/` has the dialects of standards; a contract may declare one of its own. Headers about the delivery
itself, such as the signature, are added to every dialect by `delivery/webhook.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from countermand.domain.contract import ContractName
from countermand.domain.delivering.endpoint import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownOrder:
    """An order as of sending, as its contract shows it in events: whole, or as a link. `version` is the shown one."""

    version: int
    whole: Mapping[str, object]
    link: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventToSend:
    """An event that goes to an endpoint.

    `order` is the order's id in the operator's API, or None if the event is about an endpoint. `shown` is None, too, in
    that case, and if the node does not have the order's contract. `source` is the address of this service.
    """

    id: str
    kind: str
    version: int
    recorded_at: datetime
    details: Mapping[str, object]
    order: str | None
    contract: ContractName | None
    shown: ShownOrder | None
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedEvent:
    """What is sent: the signed bytes, their media type, and headers of the dialect, with names in small letters."""

    body: bytes
    content_type: str
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """A dialect. `contract` is the only contract whose events it can say, or None if it can say those of all.

    `says` returns whether it has words for an event of a kind with these details; `kinds` are the kinds for which that
    can be true. `has_thin` says whether it can link to the order instead of showing it, and `has_structured` whether it
    has the structured form of CloudEvents.
    """

    name: str
    about: str
    kinds: frozenset[str]
    says: Callable[[str, Mapping[str, object]], bool]
    render: Callable[[EventToSend, Subscription], RenderedEvent]
    contract: ContractName | None = None
    has_thin: bool = True
    has_structured: bool = False


class Dialects:
    """The dialects of a node, by name."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self.by_name: Mapping[str, Dialect] = {one.name: one for one in dialects}
        if len(self.by_name) != len(dialects):
            raise ValueError("two dialects have the same name")
