"""Which events may an endpoint hear of, and in which dialect? Checks a subscription before its endpoint is added."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from countermand.actions.delivering.dialects import Dialect, Dialects
from countermand.actions.errors import FieldsError, NotFoundError
from countermand.actions.shown_values import shown
from countermand.domain.client import Client, ClientId
from countermand.domain.contract import ContractName, channel_of
from countermand.domain.delivering.endpoint import SUBSCRIBABLE_KINDS, EndpointEventKind, Subscription

_ABOUT_ENDPOINTS: Final = frozenset(EndpointEventKind)


class ClientsById(Protocol):
    """Finds clients."""

    async def one(self, client_id: ClientId) -> Client:
        """Return the client with this number. Raises `NotFoundError`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscriptions:
    """Checks subscriptions against the dialects, contracts and clients that there are."""

    dialects: Dialects
    contracts: Collection[ContractName]
    clients: ClientsById

    async def checked(self, wanted: Subscription, owner: ClientId | None) -> Subscription:
        """Return a subscription with the contract that its dialect implies. Raises `FieldsError` with every error.

        The subscription of an owner has the owner's client and contract, so no error names these fields.
        """
        errors: list[tuple[str, str]] = []
        dialect = self.dialects.by_name.get(wanted.dialect)
        if owner is not None:
            errors += self._wrong_dialect_of_owner(wanted, dialect)
        else:
            errors += self._wrong_dialect(wanted, dialect)
            errors += await self._wrong_client(wanted, dialect)
        errors += _wrong_kinds(wanted, dialect, owner)
        errors += _wrong_forms(wanted, dialect)
        if errors:
            raise FieldsError(errors)
        assert dialect is not None
        return replace(wanted, contract=wanted.contract or dialect.contract)

    def _wrong_dialect(self, wanted: Subscription, dialect: Dialect | None) -> Iterator[tuple[str, str]]:
        if dialect is None:
            names = ", ".join(sorted(self.dialects.by_name))
            yield "dialect", f"dialect must be one of {names}, not {shown(wanted.dialect)}"
        if wanted.contract is None:
            return
        if wanted.contract not in self.contracts:
            names = ", ".join(sorted(self.contracts))
            yield "contract", f"contract must be one of {names}, not {shown(wanted.contract)}"
        elif dialect is not None and dialect.contract not in {None, wanted.contract}:
            said = f"the dialect {dialect.name} has no words for events of others"
            yield "contract", f"contract must be {dialect.contract} or left out, not {shown(wanted.contract)}: {said}"

    def _wrong_dialect_of_owner(self, wanted: Subscription, dialect: Dialect | None) -> Iterator[tuple[str, str]]:
        fitting = {name: one for name, one in self.dialects.by_name.items() if one.contract in {None, wanted.contract}}
        if dialect is None or dialect.name not in fitting:
            names = ", ".join(sorted(fitting))
            yield "dialect", f"dialect must be one of {names}, not {shown(wanted.dialect)}"

    async def _wrong_client(self, wanted: Subscription, dialect: Dialect | None) -> list[tuple[str, str]]:
        if wanted.client_id is None:
            return []
        try:
            client = await self.clients.one(wanted.client_id)
        except NotFoundError:
            return [("client", f"client must be the id of a client; there is no client {wanted.client_id}")]
        contract = wanted.contract or (None if dialect is None else dialect.contract)
        if contract is not None and contract in self.contracts and client.channel != channel_of(contract):
            said = f"client {client.id} is of {client.channel}"
            return [("client", f"client must be the id of a client of {contract}; {said}")]
        if contract is None and client.channel not in map(channel_of, self.contracts):
            said = f"client {client.id} is of {client.channel} and places no orders"
            return [("client", f"client must be the id of a client of a contract; {said}")]
        return []


def _wrong_kinds(wanted: Subscription, dialect: Dialect | None, owner: ClientId | None) -> Iterator[tuple[str, str]]:
    if wanted.kinds is None:
        return
    known = [one for one in SUBSCRIBABLE_KINDS if owner is None or one not in _ABOUT_ENDPOINTS]
    unknown = sorted(wanted.kinds.difference(known))
    if unknown:
        yield "kinds", f"kinds must be some of {', '.join(known)}; {_all_shown(unknown)} is none of them"
    if dialect is None:
        return
    unsaid = sorted(wanted.kinds.intersection(known) - dialect.kinds)
    if unsaid:
        words = ", ".join(one for one in known if one in dialect.kinds)
        yield (
            "kinds",
            f"kinds must be some that the dialect {dialect.name} has words for: {words}; not {', '.join(unsaid)}",
        )
    about = sorted(wanted.kinds & _ABOUT_ENDPOINTS & dialect.kinds)
    if about and owner is None and (wanted.contract is not None or wanted.client_id is not None):
        said = "such an event has no order; leave contract and client out, or add another endpoint for it"
        yield "kinds", f"kinds must be of orders, not {', '.join(about)}: {said}"


def _wrong_forms(wanted: Subscription, dialect: Dialect | None) -> Iterator[tuple[str, str]]:
    if dialect is None:
        return
    if wanted.thin and not dialect.has_thin:
        yield "thin", f"thin must be false or left out: the dialect {dialect.name} always shows the order"
    if wanted.structured and not dialect.has_structured:
        yield "structured", f"structured must be false or left out: the dialect {dialect.name} has one form"


def _all_shown(names: list[str]) -> str:
    return shown(names[0]) if len(names) == 1 else " and ".join(map(shown, names))
